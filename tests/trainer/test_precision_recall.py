from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.metrics import PooledHistogram
from trainer.precision_recall import PrecisionRecall

VOXELS = st.lists(st.tuples(st.integers(0, 255), st.booleans()), min_size=1, max_size=60)


def curve(voxels: list[tuple[int, bool]]) -> PrecisionRecall:
    histogram = PooledHistogram()
    levels, truth = zip(*voxels, strict=True)
    histogram.add(np.array(levels, np.uint8), np.array(truth))
    return PrecisionRecall.of(histogram)


def average_precision_by_hand(voxels: list[tuple[int, bool]]) -> float:
    """scikit-learn's sum of (R_n - R_(n-1)) P_n over the scores that occur, from high to low."""
    positives = sum(true for _, true in voxels)
    total = before = 0.0
    for level in sorted({level for level, _ in voxels}, reverse=True):
        called = [true for score, true in voxels if score >= level]
        recall = sum(called) / positives
        total += (recall - before) * sum(called) / len(called)
        before = recall
    return total


@settings(deadline=None)
@given(voxels=VOXELS)
def test_average_precision_is_what_scikit_learn_defines(voxels: list[tuple[int, bool]]) -> None:
    voxels = [*voxels, (77, True)]
    assert curve(voxels).average_precision == pytest.approx(average_precision_by_hand(voxels))


@settings(deadline=None)
@given(voxels=VOXELS, level=st.integers(0, 255))
def test_every_level_has_the_scores_of_that_threshold(
    voxels: list[tuple[int, bool]], level: int
) -> None:
    voxels = [*voxels, (200, True)]
    called = [true for score, true in voxels if score >= level]
    found = curve(voxels)
    assert found.recall[level] == pytest.approx(sum(called) / sum(true for _, true in voxels))
    assert found.precision[level] == pytest.approx(sum(called) / len(called) if called else 1.0)


def test_a_worked_example() -> None:
    # Scores 9, 7, 5, 3 of which the first and the third are true: 1/2 * 1 + 1/2 * 2/3.
    found = curve([(9, True), (7, False), (5, True), (3, False)])
    assert found.average_precision == pytest.approx(5 / 6)


def test_without_foreground_only_silence_is_right() -> None:
    assert curve([(0, False), (0, False)]).average_precision == 1.0
    assert curve([(0, False), (9, False)]).average_precision == 0.0
