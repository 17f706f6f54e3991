"""Voxel-wise scores, pooled over everything that was predicted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LEVELS = 256  # of a uint8 probability: level 255 stands for 1.0
CHUNK_VOXELS = 1 << 20  # np.bincount widens its input to int64, so it is fed in pieces

_NEARLY_ALL = 0.999
_HARDLY_BETTER = 1.02


@dataclass(frozen=True)
class Scores:
    """How well a prediction covers the truth at one threshold."""

    dice: float
    iou: float
    precision: float
    recall: float
    threshold: float
    voxels: int


class PooledHistogram:
    """The probabilities predicted for foreground and for background voxels, counted apart.

    Two times 256 counts are all that any threshold's scores need, so a volume is added section by
    section and never kept. The scores are those of all voxels together, not a mean over sections.
    """

    def __init__(self) -> None:
        self._foreground = np.zeros(LEVELS, np.int64)
        self._background = np.zeros(LEVELS, np.int64)

    def add(
        self, probability: NDArray[np.uint8], mask: NDArray[np.uint8] | NDArray[np.bool_]
    ) -> None:
        """Counts the voxels of one prediction.

        Args:
            probability: Foreground probability times 255, any shape.
            mask: The truth in the same shape; every value but 0 is foreground.
        """
        if probability.dtype != np.uint8:
            raise TypeError(f"probabilities must be uint8, these are {probability.dtype}")
        if probability.shape != mask.shape:
            raise ValueError(f"probability is {probability.shape}, its mask is {mask.shape}")
        levels, foreground = probability.reshape(-1), mask.reshape(-1)
        for start in range(0, levels.size, CHUNK_VOXELS):
            chunk = slice(start, start + CHUNK_VOXELS)
            self._count(levels[chunk], foreground[chunk] != 0)

    def _count(self, levels: NDArray[np.uint8], foreground: NDArray[np.bool_]) -> None:
        both = np.bincount(levels + foreground * np.uint16(LEVELS), minlength=2 * LEVELS)
        self._background += both[:LEVELS]
        self._foreground += both[LEVELS:]

    def scores(self, threshold: float) -> Scores:
        """Scores the prediction that calls a voxel foreground from `threshold` (0 to 1) upwards."""
        if not 0.0 <= threshold <= 1.0:
            raise ValueError(f"a threshold lies between 0 and 1, not at {threshold}")
        level = round(threshold * (LEVELS - 1))
        hits = int(self._foreground[level:].sum())
        return self._score(hits, hits + int(self._background[level:].sum()), threshold)

    def best(self) -> Scores:
        """Scores the threshold with the highest Dice; of equal ones that nearest to 0.5."""
        levels = np.arange(1, LEVELS)  # at level 0 everything is foreground: no threshold at all
        hits = _sums_from_the_end(self._foreground)[1:]
        predicted = hits + _sums_from_the_end(self._background)[1:]
        sizes = predicted + self._positives
        dice = np.where(sizes == 0, 1.0, 2 * hits / np.maximum(sizes, 1))
        winners = levels[dice == dice.max()]
        # Levels 127 and 128 are equally near to 0.5, which `scores(0.5)` rounds to 128.
        level = int(min(winners, key=lambda level: (abs(2 * level - (LEVELS - 1)), -level)))
        return self._score(int(hits[level - 1]), int(predicted[level - 1]), level / (LEVELS - 1))

    def from_each_level(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Voxels that are foreground from each of the 256 levels upwards: the right ones, and all.

        At level 0, the first, that is every voxel, so the first of the right ones is the truth.
        """
        hits = _sums_from_the_end(self._foreground)
        return hits, hits + _sums_from_the_end(self._background)

    def matthews_correlation(self, threshold: float) -> float:
        """Correlation of truth and prediction, from -1 to 1 (Matthews 1975).

        Where one of them is all of one class it is 1 if the other agrees everywhere, else 0.
        """
        level = round(threshold * (LEVELS - 1))
        hits, false = int(self._foreground[level:].sum()), int(self._background[level:].sum())
        missed = self._positives - hits
        right = self._voxels - hits - false - missed
        # Python's whole numbers: the product of four counts of a volume has some 30 digits.
        square = (hits + false) * (hits + missed) * (right + false) * (right + missed)
        if square == 0:
            return 1.0 if false == missed == 0 else 0.0
        return (hits * right - false * missed) / math.sqrt(square)

    def collapsed_to(self) -> Literal["background", "foreground"] | None:
        """The one class that the prediction consists of, if it has no skill either.

        At a threshold of one half it calls nearly every voxel the same, and its best threshold is
        hardly better than calling everything foreground. Where the truth is all one class, a
        prediction of that class is right.
        """
        truth = self.foreground_fraction
        if truth in (0.0, 1.0):
            return None
        if self.best().dice > _HARDLY_BETTER * 2 * truth / (1 + truth):
            return None
        level = round(0.5 * (LEVELS - 1))
        called = int(self._foreground[level:].sum() + self._background[level:].sum())
        share = called / self._voxels
        if share >= _NEARLY_ALL:
            return "foreground"
        return "background" if share <= 1 - _NEARLY_ALL else None

    @property
    def foreground_fraction(self) -> float:
        """The share of foreground in the truth, 0.0 where nothing was added."""
        return self._positives / max(self._voxels, 1)

    @property
    def _positives(self) -> int:
        return int(self._foreground.sum())

    @property
    def _voxels(self) -> int:
        return self._positives + int(self._background.sum())

    def _score(self, hits: int, predicted: int, threshold: float) -> Scores:
        truth = self._positives
        # Nothing to find and nothing found is right in every respect.
        empty = 1.0 if truth == predicted == 0 else 0.0
        return Scores(
            dice=_ratio(2 * hits, truth + predicted, empty),
            iou=_ratio(hits, truth + predicted - hits, empty),
            precision=_ratio(hits, predicted, empty),
            recall=_ratio(hits, truth, empty),
            threshold=threshold,
            voxels=self._voxels,
        )


def _sums_from_the_end(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(counts[::-1])[::-1]


def _ratio(part: int, whole: int, empty: float) -> float:
    return part / whole if whole else empty
