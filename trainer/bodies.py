"""Where organelles lie in the cells of a synthetic volume, and what shape they have."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from trainer.cells import Cells
from trainer.smooth_noise import build_smooth_noise

# Voxels that a body keeps from the membrane of its cell.
_MARGIN = 3.0
# Voxels by which noise moves the surface of a body, over how many voxels.
_WOBBLE, _WOBBLE_SCALE = 1.3, 9.0
# A body must keep this share of its ellipsoid after its cell has cut it.
_LEAST_KEPT = 0.6


@dataclass(frozen=True, eq=False)
class Body:
    """An organelle.

    Attributes:
        box: where in the volume the arrays below lie.
        depth: distance below the surface in voxels, negative outside, (z, y, x).
        places: coordinates along the axes of the body, the longest first, (axis, z, y, x).
    """

    box: tuple[slice, slice, slice]
    depth: np.ndarray
    places: np.ndarray


class BodyPlacer:
    """Finds room for bodies in cells, each body in one cell and clear of all others."""

    def __init__(self, cells: Cells, rng: np.random.Generator) -> None:
        """Start with empty cells."""
        self._cells = cells
        self._rng = rng
        self._shape = cells.label.shape
        self._taken = np.zeros(self._shape, np.bool_)
        self._wobble = _WOBBLE * build_smooth_noise(self._shape, _WOBBLE_SCALE, rng)

    def place(
        self, share: float, thickness: tuple[float, float], elongation: float
    ) -> Iterator[Body]:
        """Place bodies until they fill a share of the volume, evenly along z.

        Args:
            share: part of the volume to fill; less where no more room is found.
            thickness: smallest and largest diameter across, in voxels.
            elongation: how many times its thickness a body is long at most.
        """
        filled = np.zeros(self._shape[0])
        wanted = share * self._taken.size
        typical = math.pi / 6 * np.mean(thickness) ** 3 * (1 + elongation) / 2
        for _ in range(10 + int(6 * wanted / typical)):
            if filled.sum() >= wanted:
                return
            radii = self._rng.uniform(*thickness) / 2 * self._rng.uniform(0.88, 1.12, 3)
            radii[0] *= self._rng.uniform(1, elongation)
            body = self._fit(self._find_place(filled, radii[1]), radii)
            if body is not None:
                inside = body.depth > 0
                self._taken[body.box] |= body.depth > -_MARGIN
                filled[body.box[0]] += inside.sum(axis=(1, 2))
                yield body

    def _find_place(self, filled: np.ndarray, radius: float) -> np.ndarray:
        """Return a place (z, y, x) well inside a cell, where the sections hold least so far."""
        z = int(np.argmin(filled + self._rng.uniform(0, 0.02 * filled.max() + 1, len(filled))))
        clear = cv2.distanceTransform(1 - self._taken[z].view(np.uint8), cv2.DIST_L2, 3)
        # As much room as the body is thick will do; more is no better, so that bodies spread.
        room = np.minimum(np.minimum(self._cells.depth[z], clear), radius + _MARGIN)
        rows, columns = np.nonzero(room >= room.max())
        chosen = int(self._rng.integers(len(rows)))
        return np.array([z, rows[chosen], columns[chosen]], np.float32)

    def _fit(self, centre: np.ndarray, radii: np.ndarray) -> Body | None:
        """Return the body that fits at a place, or None where too little of it does."""
        reach = float(radii.max()) + 2 * _WOBBLE
        z, y, x = (
            slice(max(0, int(c - reach)), min(n, int(c + reach) + 2))
            for c, n in zip(centre, self._shape, strict=True)
        )
        box = (z, y, x)
        offsets = np.indices([s.stop - s.start for s in box], np.float32)
        offsets += (np.array([s.start for s in box]) - centre).reshape(3, 1, 1, 1)
        places = np.tensordot(_rotation(self._rng), offsets, axes=1)
        whole = _ellipsoid_depth(places, radii.astype(np.float32)) + self._wobble[box]
        own = self._cells.label[box] == self._cells.label[tuple(centre.astype(int))]
        kept = np.minimum(whole, np.where(own, self._cells.depth[box] - _MARGIN, -_MARGIN))
        if (self._taken[box] & (kept > 0)).any():
            return None
        enough = np.count_nonzero(kept > 0) >= _LEAST_KEPT * np.count_nonzero(whole > 0)
        return Body(box, kept, places) if enough else None


def _rotation(rng: np.random.Generator) -> np.ndarray:
    """Return a random rotation as a matrix."""
    matrix: np.ndarray = np.linalg.qr(rng.standard_normal((3, 3)))[0].astype(np.float32)
    return matrix


def _ellipsoid_depth(places: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Return roughly how far places (axis, z, y, x) lie below the surface of an ellipsoid."""
    scaled = places / radii.reshape(3, 1, 1, 1)
    level = np.sqrt(np.einsum("azyx,azyx->zyx", scaled, scaled))
    scaled /= radii.reshape(3, 1, 1, 1)
    slope = np.sqrt(np.einsum("azyx,azyx->zyx", scaled, scaled))
    # The centre itself has no slope; there the depth is the smallest radius.
    depth: np.ndarray = level * (1 - level) / np.maximum(slope, 1e-6)
    depth[level < 1e-3] = radii.min()
    return depth
