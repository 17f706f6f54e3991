"""One displacement field for image and mask, sampled once from the whole section."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from trainer.hyperparameters import Hyperparameters


@dataclass(frozen=True, eq=False)
class Field:
    """Where each voxel of a tile is taken from in its section.

    Attributes:
        y: Row in the section of each of the tile's voxels, float32 (y, x).
        x: Column, likewise.
    """

    y: np.ndarray
    x: np.ndarray

    def sample(self, section: np.ndarray, *, labels: bool = False) -> np.ndarray:
        """Takes the tile from a section (y, x): linear for an image, nearest for labels."""
        interpolation = cv2.INTER_NEAREST if labels else cv2.INTER_LINEAR
        # Beyond the border the section is mirrored: a turned tile has no vacant corners.
        return cv2.remap(section, self.x, self.y, interpolation, borderMode=cv2.BORDER_REFLECT_101)


def draw_field(
    random: np.random.Generator, hyperparameters: Hyperparameters, section: tuple[int, int]
) -> Field:
    """Draws a tile's place, flips, rotation and zoom, composed into one field."""
    matrix = _draw_matrix(random, hyperparameters)
    offset = np.arange(hyperparameters.tile_size, dtype=np.float32)
    offset -= (hyperparameters.tile_size - 1) / 2
    grid_y, grid_x = np.meshgrid(offset, offset, indexing="ij")
    y = matrix[0, 0] * grid_y + matrix[0, 1] * grid_x
    x = matrix[1, 0] * grid_y + matrix[1, 1] * grid_x
    centre_y, centre_x = (
        _draw_centre(random, extent, float(-axis.min()))
        for extent, axis in zip(section, (y, x), strict=True)
    )
    return Field((y + centre_y).astype(np.float32), (x + centre_x).astype(np.float32))


def jitter_intensity(
    random: np.random.Generator, hyperparameters: Hyperparameters, tile: np.ndarray
) -> np.ndarray:
    """Changes brightness and contrast of a scaled tile (y, x), as another session would."""
    factor = 1 + random.uniform(-hyperparameters.contrast, hyperparameters.contrast)
    shift = random.uniform(-hyperparameters.brightness, hyperparameters.brightness)
    return ((tile - 0.5) * np.float32(factor) + np.float32(0.5 + shift)).astype(np.float32)


def _draw_matrix(random: np.random.Generator, hyperparameters: Hyperparameters) -> np.ndarray:
    """The 2 x 2 matrix of flips, rotation and zoom, for coordinates (y, x)."""
    angle = np.deg2rad(random.uniform(-1, 1) * hyperparameters.rotation_degrees)
    zoom = (1 + hyperparameters.zoom) ** random.uniform(-1, 1)
    flips = np.where(random.random(2) < hyperparameters.flip_probability, -1.0, 1.0)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]]) @ np.diag(flips / zoom)


def _draw_centre(random: np.random.Generator, extent: int, reach: float) -> float:
    """A centre from which the tile reaches no further than the section, where it fits.

    The place is drawn to the voxel, so that an upright tile is cut out without interpolation.
    """
    low, high = reach, extent - 1 - reach
    if low > high:
        return (extent - 1) / 2
    return low + float(random.integers(0, int(high - low) + 1))
