"""One displacement field for image and mask, sampled once from the whole section."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from trainer.elastic import draw_displacement
from trainer.hyperparameters import Hyperparameters

_OPENCV_SIDE = 32_767
"""OpenCV counts the rows and columns of what it samples in 16 bits."""
_OPENCV_CHANNELS = 128
"""OpenCV takes no image of more."""


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
        if max(*section.shape, *self.y.shape) < _OPENCV_SIDE:
            return self._remap(section, labels=labels)
        rows, columns = _span(self.y, section.shape[0]), _span(self.x, section.shape[1])
        if max(*self.y.shape, len(rows), len(columns)) < _OPENCV_SIDE:
            near = Field(self.y - np.float32(rows.start), self.x - np.float32(columns.start))
            cut = section[rows.start : rows.stop, columns.start : columns.stop]
            return near._remap(cut, labels=labels)
        axis = int(np.argmax(self.y.shape))
        halves = zip(np.array_split(self.y, 2, axis), np.array_split(self.x, 2, axis), strict=True)
        return np.concatenate(
            [Field(*half).sample(section, labels=labels) for half in halves], axis
        )

    def _remap(self, section: np.ndarray, *, labels: bool) -> np.ndarray:
        interpolation = cv2.INTER_NEAREST if labels else cv2.INTER_LINEAR
        # Beyond the border the section is mirrored: a turned tile has no vacant corners.
        return cv2.remap(section, self.x, self.y, interpolation, borderMode=cv2.BORDER_REFLECT_101)


def _span(places: np.ndarray, extent: int) -> range:
    """The voxels of an axis that lie around these places, and what mirroring them needs."""
    low, high = int(np.floor(places.min())), int(np.ceil(places.max()))
    beyond = max(0, -low, high - extent + 1)
    return range(max(0, low - 1 - beyond), min(extent, high + 2 + beyond))


def draw_field(
    random: np.random.Generator,
    hyperparameters: Hyperparameters,
    section: tuple[int, int],
    target: tuple[float, float] | None = None,
) -> Field:
    """Draws flips, rotation, zoom, elastic deformation and place, composed into one field.

    Args:
        random: The tile's own generator.
        hyperparameters: Probability and strength of each.
        section: Its rows and columns.
        target: Row and column to centre the tile on, as far as the border allows; drawn from the
            whole section without it.
    """
    offsets = _offsets(random, hyperparameters)
    places = []
    for axis, offset in enumerate(offsets):
        reach = float(-offset.min()), float(offset.max())
        extent = section[axis]
        centre = (
            _draw_centre(random, extent, reach)
            if target is None
            else _nearest_centre(target[axis], extent, reach)
        )
        offset += np.float32(centre)
        places.append(offset)
    return Field(*places)


def draw_cell(
    random: np.random.Generator, hyperparameters: Hyperparameters, section: tuple[int, int]
) -> tuple[float, float]:
    """Draws a cell of the grid that covers a section, and how far the tile is moved out of it.

    Cells lie side by side from border to border, and overlap where a side of the section is no
    multiple of the tile's.

    Returns:
        Row and column of the tile's centre.
    """
    size = hyperparameters.tile_size
    centre = [draw_cell_start(random, extent, size) + (size - 1) / 2 for extent in section]
    if happens(random, hyperparameters.shift_probability):
        reach = hyperparameters.shift * size
        centre = [place + random.uniform(-reach, reach) for place in centre]
    return centre[0], centre[1]


def draw_cell_start(random: np.random.Generator, extent: int, size: int) -> int:
    """Draws the first voxel of a cell, along one axis of the grid."""
    cells = math.ceil(extent / size)
    cell = int(random.integers(0, cells))
    return 0 if cells == 1 else round(cell * (extent - size) / (cells - 1))


def change_intensity(
    random: np.random.Generator, hyperparameters: Hyperparameters, tile: np.ndarray
) -> np.ndarray:
    """Changes focus, contrast, brightness and noise of a scaled tile, as another session would.

    Args:
        random: The tile's own generator.
        hyperparameters: Probability and strength of each.
        tile: float32 (y, x, channel), or sections in the place of channels.
    """
    hp = hyperparameters
    if happens(random, hp.blur_probability):
        tile = _blurred(tile, random.uniform(0, hp.blur_sigma))
    factor, shift = 1.0, 0.0
    if happens(random, hp.contrast_probability):
        factor += random.uniform(-hp.contrast, hp.contrast)
    if happens(random, hp.brightness_probability):
        shift = random.uniform(-hp.brightness, hp.brightness)
    # About the middle of the range: (tile - 0.5) * factor + 0.5 + shift.
    tile = tile * np.float32(factor)
    tile += np.float32(0.5 + shift - 0.5 * factor)
    if happens(random, hp.noise_probability):
        noise = random.standard_normal(tile.shape, dtype=np.float32)
        noise *= np.float32(random.uniform(0, hp.noise))
        tile += noise
    return tile


def happens(random: np.random.Generator, probability: float) -> bool:
    """Draws whether something of that probability happens; nothing where nothing is open."""
    if probability in (0.0, 1.0):
        return probability == 1.0
    return bool(random.random() < probability)


def _blurred(tile: np.ndarray, sigma: float) -> np.ndarray:
    if sigma < 0.1:
        return tile
    parts = [
        _blurred_channels(tile[..., first : first + _OPENCV_CHANNELS], sigma)
        for first in range(0, tile.shape[-1], _OPENCV_CHANNELS)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def _blurred_channels(tile: np.ndarray, sigma: float) -> np.ndarray:
    blurred = cv2.GaussianBlur(tile, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    return blurred.reshape(tile.shape)  # cv2 drops a single channel


def _offsets(
    random: np.random.Generator, hyperparameters: Hyperparameters
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the tile's voxels about its centre, float32 (y, x) each."""
    hp = hyperparameters
    matrix = _draw_matrix(random, hp).astype(np.float32)
    line = np.arange(hp.tile_size, dtype=np.float32) - np.float32((hp.tile_size - 1) / 2)
    y, x = line[:, np.newaxis], line[np.newaxis, :]
    if happens(random, hp.elastic_probability):
        shape = (hp.tile_size, hp.tile_size)
        y = y + draw_displacement(random, shape, hp.elastic_alpha, hp.elastic_sigma)
        x = x + draw_displacement(random, shape, hp.elastic_alpha, hp.elastic_sigma)
    return matrix[0, 0] * y + matrix[0, 1] * x, matrix[1, 0] * y + matrix[1, 1] * x


def _draw_matrix(random: np.random.Generator, hyperparameters: Hyperparameters) -> np.ndarray:
    """The 2 x 2 matrix of flips, rotation and zoom, for coordinates (y, x)."""
    hp = hyperparameters
    angle, zoom = 0.0, 1.0
    if happens(random, hp.rotation_probability):
        angle = np.deg2rad(random.uniform(-1, 1) * hp.rotation_degrees)
    if happens(random, hp.zoom_probability):
        zoom = (1 + hp.zoom) ** random.uniform(-1, 1)
    mirrored = np.array([hp.flip_axes != "horizontal", hp.flip_axes != "vertical"])
    flips = np.where(mirrored & (random.random(2) < hp.flip_probability), -1.0, 1.0)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]]) @ np.diag(flips / zoom)


def _draw_centre(random: np.random.Generator, extent: int, reach: tuple[float, float]) -> float:
    """A centre from which the tile reaches no further than the section, where it fits.

    The place is drawn to the voxel, so that an upright tile is cut out without interpolation.
    """
    low, high = reach[0], extent - 1 - reach[1]
    if low > high:
        return (extent - 1) / 2
    return low + float(random.integers(0, int(high - low) + 1))


def _nearest_centre(target: float, extent: int, reach: tuple[float, float]) -> float:
    """The centre nearest to a target from which the tile stays within the section, to the voxel."""
    low, high = reach[0], extent - 1 - reach[1]
    if low > high:
        return (extent - 1) / 2
    return low + min(max(round(target - low), 0), int(high - low))
