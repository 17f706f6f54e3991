from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from trainer.metrics import PooledHistogram, Scores

VOXELS = st.lists(st.tuples(st.integers(0, 255), st.booleans()), max_size=60)
FEW_LEVELS = st.lists(
    st.tuples(st.sampled_from([0, 1, 126, 127, 128, 129, 255]), st.booleans()), max_size=20
)


def pooled(*pairs: tuple[list[int], list[int]]) -> PooledHistogram:
    histogram = PooledHistogram()
    for probability, mask in pairs:
        histogram.add(np.array(probability, np.uint8), np.array(mask, np.uint8))
    return histogram


def from_voxels(voxels: list[tuple[int, bool]]) -> PooledHistogram:
    return pooled(([level for level, _ in voxels], [int(true) for _, true in voxels]))


def counted_by_hand(voxels: list[tuple[int, bool]], level: int) -> tuple[int, int, int]:
    """True positives, false positives and false negatives, one voxel at a time."""
    hits = wrong = missed = 0
    for probability, true in voxels:
        hits += probability >= level and true
        wrong += probability >= level and not true
        missed += probability < level and true
    return hits, wrong, missed


def dice_by_hand(voxels: list[tuple[int, bool]], level: int) -> float:
    hits, wrong, missed = counted_by_hand(voxels, level)
    size = 2 * hits + wrong + missed
    return 2 * hits / size if size else 1.0


@settings(deadline=None)
@given(voxels=VOXELS, level=st.integers(0, 255))
def test_scores_equal_those_counted_voxel_by_voxel(
    voxels: list[tuple[int, bool]], level: int
) -> None:
    scores = from_voxels(voxels).scores(level / 255)
    hits, wrong, missed = counted_by_hand(voxels, level)
    nothing = 1.0 if hits + wrong + missed == 0 else 0.0
    assert scores == Scores(
        dice=dice_by_hand(voxels, level),
        iou=hits / (hits + wrong + missed) if hits + wrong + missed else nothing,
        precision=hits / (hits + wrong) if hits + wrong else nothing,
        recall=hits / (hits + missed) if hits + missed else nothing,
        threshold=level / 255,
        voxels=len(voxels),
    )


@settings(deadline=None)
@given(voxels=st.one_of(VOXELS, FEW_LEVELS))
def test_best_is_what_trying_every_threshold_finds(voxels: list[tuple[int, bool]]) -> None:
    dice = {level: dice_by_hand(voxels, level) for level in range(1, 256)}
    nearest = min(abs(level / 255 - 0.5) for level in dice if dice[level] == max(dice.values()))
    histogram = from_voxels(voxels)
    best = histogram.best()
    assert best.dice == max(dice.values())
    assert abs(best.threshold - 0.5) == pytest.approx(nearest)
    assert histogram.scores(best.threshold) == best


@settings(deadline=None)
@given(probability=arrays.arrays(np.uint8, (3, 4, 5)), mask=arrays.arrays(np.uint8, (3, 4, 5)))
def test_a_volume_scores_the_same_whole_or_section_by_section(
    probability: np.ndarray, mask: np.ndarray
) -> None:
    whole, sections = PooledHistogram(), PooledHistogram()
    whole.add(probability, mask)
    for section in range(len(mask)):
        sections.add(probability[section], mask[section])
    assert whole.best() == sections.best()
    assert whole.scores(0.3) == sections.scores(0.3)


def test_scores_are_pooled_and_not_averaged() -> None:
    good, empty = ([255, 255, 255, 0], [1, 1, 1, 0]), ([255, 0, 0, 0], [0, 0, 0, 0])
    assert pooled(good, empty).scores(0.5).dice == pytest.approx(6 / 7)


def test_more_voxels_than_fit_in_one_piece_are_all_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trainer.metrics.CHUNK_VOXELS", 3)
    scores = pooled(([9, 9, 9, 0, 0, 9, 0], [1, 1, 0, 1, 0, 1, 0])).scores(9 / 255)
    assert (scores.precision, scores.recall, scores.voxels) == (0.75, 0.75, 7)


def test_a_voxel_on_the_threshold_is_foreground() -> None:
    assert pooled(([128], [1])).scores(0.5).recall == 1.0
    assert pooled(([127], [1])).scores(0.5).recall == 0.0


def test_empty_truth_and_empty_prediction_agree_in_everything() -> None:
    scores = pooled(([0, 0], [0, 0])).scores(0.5)
    assert (scores.dice, scores.iou, scores.precision, scores.recall) == (1.0, 1.0, 1.0, 1.0)


def test_empty_truth_with_a_prediction_scores_nothing() -> None:
    scores = pooled(([255, 0], [0, 0])).scores(0.5)
    assert (scores.dice, scores.iou, scores.precision, scores.recall) == (0.0, 0.0, 0.0, 0.0)


def test_a_truth_with_nothing_predicted_scores_nothing() -> None:
    scores = pooled(([0, 0], [1, 0])).scores(0.5)
    assert (scores.dice, scores.iou, scores.precision, scores.recall) == (0.0, 0.0, 0.0, 0.0)


def test_without_any_voxel_there_is_nothing_to_hold_against_the_prediction() -> None:
    assert PooledHistogram().best().dice == 1.0
    assert PooledHistogram().foreground_fraction == 0.0


def test_equally_good_thresholds_give_the_one_nearest_to_a_half() -> None:
    assert pooled(([20, 250], [0, 1])).best().threshold == 128 / 255
    assert pooled(([20, 60], [0, 1])).best().threshold == 60 / 255
    assert pooled(([200, 250], [0, 1])).best().threshold == 201 / 255


def test_foreground_fraction_is_that_of_the_truth() -> None:
    assert pooled(([0, 0, 0, 255], [1, 0, 0, 0])).foreground_fraction == 0.25


MASK = [1] * 10 + [0] * 90


@pytest.mark.parametrize(
    ("probability", "mask", "collapsed"),
    [
        ([0] * 100, MASK, "background"),
        ([100] * 100, MASK, "background"),
        ([255] * 100, MASK, "foreground"),
        ([200] * 100, MASK, "foreground"),
        # Below one half everywhere, and yet it knows where the foreground is.
        ([50] * 10 + [10] * 90, MASK, None),
        ([250] * 10 + [200] * 90, MASK, None),
        # No skill, but not one class either.
        ([255, 0] * 50, MASK, None),
        # The one class is right.
        ([0] * 100, [0] * 100, None),
        ([10] * 100, [0] * 100, None),
        ([255] * 100, [1] * 100, None),
    ],
)
def test_one_class_without_any_skill_is_a_collapse(
    probability: list[int], mask: list[int], collapsed: str | None
) -> None:
    assert pooled((probability, mask)).collapsed_to() == collapsed


def test_without_any_voxel_nothing_has_collapsed() -> None:
    assert PooledHistogram().collapsed_to() is None


def test_counts_are_64_bits_wide() -> None:
    histogram = pooled(([255], [1]))
    histogram._foreground *= 2**33
    assert histogram.scores(0.5).voxels == 2**33


def test_a_boolean_mask_counts_like_a_mask_of_ones() -> None:
    histogram = PooledHistogram()
    histogram.add(np.array([200, 10], np.uint8), np.array([True, False]))
    assert histogram.scores(0.5).dice == 1.0


@pytest.mark.parametrize(
    ("probability", "mask", "error"),
    [
        (np.zeros(4, np.float32), np.zeros(4, np.uint8), TypeError),
        (np.zeros(4, np.uint8), np.zeros(5, np.uint8), ValueError),
        (np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), ValueError),
    ],
)
def test_what_cannot_be_compared_is_refused(
    probability: np.ndarray, mask: np.ndarray, error: type[Exception]
) -> None:
    with pytest.raises(error):
        PooledHistogram().add(probability, mask)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_outside_0_to_1_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        PooledHistogram().scores(threshold)


@settings(deadline=None)
@given(voxels=VOXELS, level=st.integers(0, 255))
def test_matthews_is_the_correlation_of_truth_and_prediction(
    voxels: list[tuple[int, bool]], level: int
) -> None:
    truth = np.array([true for _, true in voxels], float)
    called = np.array([score >= level for score, _ in voxels], float)
    if len(set(truth)) == len(set(called)) == 2:
        expected = np.corrcoef(truth, called)[0, 1]
    else:
        expected = float((truth == called).all())
    found = from_voxels(voxels).matthews_correlation(level / 255)
    assert found == pytest.approx(expected, abs=1e-12)


def test_matthews_of_a_whole_volume_does_not_overflow() -> None:
    histogram = PooledHistogram()
    histogram._foreground[[0, 255]] = 1_000_000_000, 2_000_000_000
    histogram._background[[0, 255]] = 3_000_000_000, 4_000_000_000
    # (2 * 3 - 4 * 1) / sqrt(6 * 3 * 4 * 7), in any unit.
    assert histogram.matthews_correlation(0.5) == pytest.approx(2 / 504**0.5)


@settings(deadline=None)
@given(voxels=VOXELS, level=st.integers(0, 255))
def test_the_counts_from_each_level_are_those_counted_voxel_by_voxel(
    voxels: list[tuple[int, bool]], level: int
) -> None:
    hits, wrong, _ = counted_by_hand(voxels, level)
    right, called = from_voxels(voxels).from_each_level()
    assert (right[level], called[level]) == (hits, hits + wrong)
