from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage import measure

from trainer.instances import measure_sections
from trainer.section_scores import SectionScore, score_sections, summarize, worst_sections

VOLUMES = arrays.arrays(np.uint8, (3, 5, 6), elements=st.integers(0, 1))


def scores(truth: np.ndarray, prediction: np.ndarray) -> list[SectionScore]:
    return score_sections(truth, prediction, measure_sections(truth, prediction))


@settings(deadline=None)
@given(truth=VOLUMES, prediction=VOLUMES)
def test_every_section_is_counted_for_itself(truth: np.ndarray, prediction: np.ndarray) -> None:
    for number, score in enumerate(scores(truth, prediction)):
        true, guess = truth[number].astype(bool), prediction[number].astype(bool)
        assert score.section == number
        assert score.true_voxels == true.sum()
        assert score.predicted_voxels == guess.sum()
        assert score.missed_voxels == (true & ~guess).sum()
        assert score.false_voxels == (guess & ~true).sum()
        assert score.objects == measure.label(true, connectivity=2).max()
        assert score.predicted_objects == measure.label(guess, connectivity=2).max()
        size = true.sum() + guess.sum()
        assert score.dice == (pytest.approx(2 * (true & guess).sum() / size) if size else None)
        assert score.precision == (
            pytest.approx((true & guess).sum() / guess.sum()) if guess.any() else None
        )


def drawn() -> list[SectionScore]:
    """Sections of Dice 1, 1/2 and 0, and one without foreground."""
    truth, prediction = np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)
    truth[0, 0, :2] = prediction[0, 0, :2] = 1
    truth[1, 0, :2] = prediction[1, 0, 1:3] = 1
    prediction[2, 3, 3] = 1
    return scores(truth, prediction)


def test_the_mean_and_spread_are_of_the_sections_that_have_a_dice() -> None:
    assert summarize(drawn()) == {
        "count": 4,
        "with_dice": 3,
        "dice_mean": pytest.approx(0.5),
        "dice_std": pytest.approx((1 / 6) ** 0.5),
        "dice_median": pytest.approx(0.5),
        "dice_min": 0.0,
        "dice_min_section": 2,
        "worst": [1, 2, 0, 3],
    }


def test_the_worst_are_those_with_the_most_voxels_wrong() -> None:
    assert worst_sections(drawn(), 2) == [1, 2]


def test_neighbours_of_the_worst_are_passed_over() -> None:
    wrong = np.zeros((48, 4, 8), np.uint8)
    for section, voxels in ((20, 30), (21, 29), (22, 28), (18, 27), (17, 26), (40, 5)):
        wrong[section].flat[:voxels] = 1
    assert worst_sections(scores(np.zeros_like(wrong), wrong)) == [20, 17, 40, 0]


def test_without_any_foreground_there_is_nothing_to_average() -> None:
    nothing = np.zeros((2, 3, 3), np.uint8)
    summary = summarize(scores(nothing, nothing))
    assert (summary["count"], summary["with_dice"]) == (2, 0)
    assert summary["dice_mean"] is summary["dice_min_section"] is None
