"""Dice of boundaries, which forgives what the labels themselves do not know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def boundary_dice(
    truth: NDArray[Any], prediction: NDArray[Any], tolerances: Sequence[int] = (1, 2)
) -> dict[int, float]:
    """Share of both boundaries that lies within some voxels of the other one.

    The surface Dice of Nikolov et al. 2018 (arXiv 1809.04430, equation 3) with voxels in place of
    surface elements: a mask's boundary are its foreground voxels with a background voxel at one of
    their faces, and two boundary voxels are as far apart as their middles, in voxels along each
    axis. A face of the volume is no boundary: the object goes on behind it.

    Args:
        truth: Mask, (z, y, x) or (y, x); every value but 0 is foreground.
        prediction: Mask of the same shape.
        tolerances: Distances that are forgiven, in voxels.

    Returns:
        The Dice at each tolerance: (near true + near predicted) / (all true + all predicted).
        Without any boundary it is 1 if the masks are equal, else 0.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape}, prediction is {prediction.shape}")
    # Wide enough that no step off the volume comes back in at its other side.
    margin = max(tolerances, default=0)
    true, guessed = _Border(truth != 0, margin), _Border(prediction != 0, margin)
    total = true.count + guessed.count
    if total == 0:
        return dict.fromkeys(tolerances, float(np.array_equal(truth != 0, prediction != 0)))
    return {
        tolerance: (true.near(guessed, tolerance) + guessed.near(true, tolerance)) / total
        for tolerance in tolerances
    }


class _Border:
    """The boundary voxels of a mask: few enough to be looked at one by one."""

    def __init__(self, mask: NDArray[np.bool_], margin: int) -> None:
        border = mask & ~ndimage.binary_erosion(mask, border_value=1)
        padded = np.pad(border, margin)
        self._shape = padded.shape
        self._flat = padded.reshape(-1)
        self._places = np.flatnonzero(self._flat)

    @property
    def count(self) -> int:
        return len(self._places)

    def near(self, other: _Border, tolerance: int) -> int:
        """How many of these voxels have one of the other border within so many voxels."""
        left = self._places
        for step in self._steps(tolerance):
            left = left[~other._flat[left + step]]
        return self.count - len(left)

    def _steps(self, reach: int) -> Iterator[int]:
        """The steps to all places within reach, in the flat array, the nearest first."""
        axis = range(-reach, reach + 1)
        ball = [
            step for step in product(axis, repeat=len(self._shape)) if _square(step) <= reach**2
        ]
        strides = np.cumprod([1, *self._shape[:0:-1]])[::-1]
        for step in sorted(ball, key=_square):
            yield int(np.dot(step, strides))


def _square(step: Sequence[int]) -> int:
    return sum(part * part for part in step)
