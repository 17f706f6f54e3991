"""How bright the objects are beside the rest, and how far a mere threshold would get."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

_FLOAT_LEVELS = 4096


@dataclass(frozen=True, eq=False)
class Contrast:
    """Grey values inside and outside of the foreground, counted apart.

    Attributes:
        levels: The grey value of each level, ascending; integers have a level each, floats 4096
            between the least and the greatest value.
        inside: Foreground voxels at each level.
        outside: Background voxels at each level.
        dice: The best Dice that one threshold reaches on the whole volume.
        threshold: That threshold, a grey value.
        foreground_is: The side of the threshold that is called foreground; the threshold itself
            belongs to it.
    """

    levels: np.ndarray
    inside: np.ndarray
    outside: np.ndarray
    dice: float
    threshold: float
    foreground_is: Literal["darker", "brighter"]

    @property
    def dice_of_all(self) -> float:
        """What calling every voxel foreground scores: no threshold at all."""
        share = self.inside.sum() / (self.inside.sum() + self.outside.sum())
        return float(2 * share / (1 + share))

    @property
    def overlap(self) -> float:
        """The area that the two histograms share, 1 where they are the same."""
        inside, outside = (counts / max(1, counts.sum()) for counts in (self.inside, self.outside))
        return float(np.minimum(inside, outside).sum())

    def dice_curve(self, side: Literal["darker", "brighter"]) -> np.ndarray:
        """The Dice of each level as threshold, where `side` of it is called foreground."""
        return _dice_curve(self.inside, self.outside, side)


def measure_contrast(raw: np.ndarray, mask: np.ndarray) -> Contrast:
    """Counts grey values inside and outside of a mask and tries every threshold.

    Args:
        raw: Grey values, (z, y, x).
        mask: 0 or 1, (z, y, x).
    """
    levels = find_levels(raw)
    inside, outside = np.zeros(len(levels), np.int64), np.zeros(len(levels), np.int64)
    for section, foreground in zip(raw, mask, strict=True):
        index = level_of(section, levels)
        every = np.bincount(index, minlength=len(levels))
        within = np.bincount(index[foreground.reshape(-1) != 0], minlength=len(levels))
        inside += within
        outside += every - within
    return _with_best_threshold(levels, inside, outside)


def find_levels(raw: np.ndarray) -> np.ndarray:
    """The grey values that a histogram of an array tells apart, ascending."""
    low, high = raw.min(), raw.max()
    if raw.dtype.kind in "ui":
        return np.arange(int(low), int(high) + 1)
    return np.linspace(float(low), float(high), _FLOAT_LEVELS if high > low else 1)


def level_of(section: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The nearest level of every voxel, by its number, flat."""
    values = section.reshape(-1)
    if values.dtype.kind in "ui":
        return values.astype(np.int64) - int(levels[0])
    step = (levels[-1] - levels[0]) / max(1, len(levels) - 1)
    scaled = (values.astype(np.float64) - levels[0]) / (step or 1.0)
    nearest: np.ndarray = np.clip(np.rint(scaled), 0, len(levels) - 1).astype(np.int64)
    return nearest


def _with_best_threshold(levels: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> Contrast:
    sides: tuple[Literal["darker", "brighter"], ...] = ("darker", "brighter")
    curves = {side: _dice_curve(inside, outside, side) for side in sides}
    side = max(sides, key=lambda name: float(curves[name].max()))
    best = int(curves[side].argmax())
    return Contrast(levels, inside, outside, float(curves[side][best]), float(levels[best]), side)


def _dice_curve(
    inside: np.ndarray, outside: np.ndarray, side: Literal["darker", "brighter"]
) -> np.ndarray:
    order = slice(None) if side == "darker" else slice(None, None, -1)
    hits = np.cumsum(inside[order])[order]
    called = np.cumsum((inside + outside)[order])[order]
    curve: np.ndarray = 2 * hits / np.maximum(called + inside.sum(), 1)
    return curve
