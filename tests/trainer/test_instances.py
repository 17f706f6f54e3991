from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from skimage import measure

from trainer.instances import (
    InstanceScores,
    Overlap,
    measure_sections,
    panoptic_quality,
    score_overlaps,
)

VOLUMES = arrays.arrays(np.uint8, (2, 7, 8), elements=st.integers(0, 1))
IOUS = st.sampled_from([0.5, 0.6, 0.75, 1.0])


def section(*rows: str) -> np.ndarray:
    """A mask drawn with `#` for foreground."""
    return np.array([[voxel == "#" for voxel in row] for row in rows], np.uint8)


def found_pair_by_pair(truth: np.ndarray, prediction: np.ndarray, iou: float) -> tuple[int, ...]:
    """Matches as written in the definition, components by scipy instead of cc3d."""
    neighbours = np.ones((3,) * truth.ndim)
    true, total = ndimage.label(truth, neighbours)
    guessed, predicted = ndimage.label(prediction, neighbours)
    found = 0
    for i, j in product(range(1, total + 1), range(1, predicted + 1)):
        a, b = true == i, guessed == j
        found += (a & b).sum() / (a | b).sum() >= iou
    return int(found), total, predicted


def match_instances(truth: np.ndarray, prediction: np.ndarray, iou: float = 0.5) -> InstanceScores:
    return score_overlaps([Overlap.measure(truth, prediction)], iou=iou)


def match_sections(truth: np.ndarray, prediction: np.ndarray, iou: float = 0.5) -> InstanceScores:
    return score_overlaps(measure_sections(truth, prediction), iou=iou)


def counts(scores: InstanceScores) -> tuple[int, int, int]:
    return scores.found, scores.total, scores.predicted


@settings(deadline=None)
@given(truth=VOLUMES, prediction=VOLUMES, iou=IOUS)
def test_volumes_match_as_a_comparison_pair_by_pair_does(
    truth: np.ndarray, prediction: np.ndarray, iou: float
) -> None:
    scores = match_instances(truth, prediction, iou=iou)
    assert counts(scores) == found_pair_by_pair(truth, prediction, iou)


@settings(deadline=None)
@given(truth=VOLUMES, flips=arrays.arrays(np.bool_, (2, 7, 8)), iou=IOUS)
def test_sections_sum_up_a_comparison_pair_by_pair(
    truth: np.ndarray, flips: np.ndarray, iou: float
) -> None:
    prediction = truth ^ (flips & np.roll(flips, 1, axis=1))
    single = [
        found_pair_by_pair(true, guess, iou) for true, guess in zip(truth, prediction, strict=True)
    ]
    scores = match_sections(truth, prediction, iou=iou)
    assert counts(scores) == tuple(np.sum(single, axis=0))


def test_a_larger_random_volume_has_the_components_scikit_image_counts() -> None:
    noise = np.random.default_rng(3).random((12, 60, 70))
    truth, prediction = noise > 0.9, noise > 0.92
    scores = match_instances(truth, prediction)
    assert scores.total == measure.label(truth, connectivity=3).max()
    assert scores.predicted == measure.label(prediction, connectivity=3).max()
    sections = match_sections(truth, prediction)
    assert sections.total == sum(measure.label(one, connectivity=2).max() for one in truth)
    assert 0 < sections.found < sections.predicted < sections.total


def test_precision_recall_and_f1_follow_from_the_counts() -> None:
    truth = section("##..##..##..##")
    prediction = section("##..##..###...")
    scores = match_instances(truth, prediction)
    assert scores == InstanceScores(
        found=3, total=4, predicted=3, precision=1.0, recall=0.75, f1=6 / 7
    )


def test_an_iou_of_exactly_a_half_matches() -> None:
    assert match_instances(section("##.."), section("#...")).found == 1
    assert match_instances(section("###."), section(".###")).found == 1
    assert match_instances(section("###."), section("#...")).found == 0


def test_a_stricter_iou_matches_less() -> None:
    truth, prediction = section("####."), section("###..")
    assert match_instances(truth, prediction, iou=0.75).found == 1
    assert match_instances(truth, prediction, iou=0.76).found == 0


def test_one_voxel_is_an_object() -> None:
    one = section("...", ".#.", "...")
    assert counts(match_instances(one, one)) == (1, 1, 1)
    assert counts(match_sections(one[None], one[None])) == (1, 1, 1)


def test_objects_that_touch_by_a_corner_are_one() -> None:
    corners = section("#.", ".#")
    assert match_instances(corners, corners).total == 1
    volume = np.zeros((2, 2, 2), np.uint8)
    volume[0, 0, 0] = volume[1, 1, 1] = 1
    assert match_instances(volume, volume).total == 1


def test_an_object_through_two_sections_counts_once_in_3d_and_twice_in_2d() -> None:
    volume = np.ones((2, 3, 3), np.uint8)
    assert match_instances(volume, volume).total == 1
    assert match_sections(volume, volume).total == 2


def test_two_objects_grown_together_match_the_larger_part_only() -> None:
    truth, prediction = section("##.####"), section("#######")
    assert counts(match_instances(truth, prediction)) == (1, 2, 1)


def test_an_object_cut_in_two_matches_the_larger_part_only() -> None:
    truth, prediction = section("#######"), section("##.####")
    assert counts(match_instances(truth, prediction)) == (1, 1, 2)


@pytest.mark.parametrize("match", [match_instances, match_sections])
def test_empty_masks_follow_the_rules_of_the_voxel_scores(
    match: Callable[..., InstanceScores],
) -> None:
    empty, full = np.zeros((2, 3, 4), np.uint8), np.ones((2, 3, 4), np.uint8)
    both, no_truth, no_guess = match(empty, empty), match(empty, full), match(full, empty)
    assert (both.precision, both.recall, both.f1) == (1.0, 1.0, 1.0)
    assert (no_truth.precision, no_truth.recall, no_truth.f1) == (0.0, 0.0, 0.0)
    assert (no_guess.precision, no_guess.recall, no_guess.f1) == (0.0, 0.0, 0.0)


def test_a_volume_without_sections_holds_no_objects() -> None:
    nothing = np.zeros((0, 4, 4), np.uint8)
    assert counts(match_sections(nothing, nothing)) == (0, 0, 0)
    assert counts(match_instances(nothing, nothing)) == (0, 0, 0)


def test_any_value_but_0_is_foreground() -> None:
    truth, prediction = section("##.##"), section("##.##") * np.uint8(255)
    labels = truth.astype(np.uint16)
    labels[0, 1] = 7
    assert counts(match_instances(labels, prediction)) == (2, 2, 2)


def test_a_view_into_a_volume_matches_like_its_copy() -> None:
    volume = (np.random.default_rng(0).random((9, 9, 9)) > 0.7).astype(np.uint8)
    view = volume[::2, :, ::-1].T
    assert match_instances(view, view) == match_instances(view.copy(), view.copy())


@pytest.mark.parametrize("iou", [0.0, 0.49, 1.01, float("nan")])
def test_an_iou_at_which_matches_are_not_unique_is_refused(iou: float) -> None:
    with pytest.raises(ValueError, match="uniquely"):
        match_instances(section("#"), section("#"), iou=iou)


def test_masks_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="truth is"):
        match_instances(np.zeros((2, 3, 4)), np.zeros((2, 4, 3)))
    with pytest.raises(ValueError, match="dimensions"):
        match_sections(np.zeros((3, 4)), np.zeros((3, 4)))


@pytest.mark.parametrize("shape", [(1, 4), (9, 9), (4, 7), (1, 1, 4), (3, 3, 3), (5, 2, 7)])
def test_single_voxels_up_to_every_border_are_objects_of_their_own(shape: tuple[int, ...]) -> None:
    for corner in product((0, 1), repeat=len(shape)):
        mask = np.zeros(shape, np.uint8)
        mask[tuple(slice(start, None, 2) for start in corner)] = 1
        voxels = int(mask.sum())
        assert counts(match_instances(mask, mask)) == (voxels, voxels, voxels)


@settings(deadline=None, max_examples=40)
@given(truth=VOLUMES, prediction=VOLUMES)
def test_sizes_centres_and_best_matches_are_those_scipy_measures(
    truth: np.ndarray, prediction: np.ndarray
) -> None:
    overlap = Overlap.measure(truth, prediction)
    true, total = ndimage.label(truth, np.ones((3, 3, 3)))
    guessed, predicted = ndimage.label(prediction, np.ones((3, 3, 3)))
    expected = []
    for i in range(1, total + 1):
        ious = [
            ((true == i) & (guessed == j)).sum() / ((true == i) | (guessed == j)).sum()
            for j in range(1, predicted + 1)
        ]
        centre = np.round(ndimage.center_of_mass(true == i), 4).tolist()
        expected.append((*centre, int((true == i).sum()), round(max(ious, default=0.0), 9)))
    found = [
        (*np.round(centre, 4).tolist(), int(size), round(float(iou), 9))
        for centre, size, iou in zip(
            overlap.true_centres, overlap.true_sizes, overlap.true_ious, strict=True
        )
    ]
    assert len(found) == total
    assert np.allclose(sorted(found), sorted(expected), atol=1e-3)
    # Seen from the other side it is the same.
    back = Overlap.measure(prediction, truth)
    assert back.true_ious.tolist() == overlap.guessed_ious.tolist()


@settings(deadline=None, max_examples=40)
@given(truth=VOLUMES, flips=arrays.arrays(np.bool_, (2, 7, 8)))
def test_panoptic_quality_is_segmentation_times_recognition(
    truth: np.ndarray, flips: np.ndarray
) -> None:
    prediction = truth ^ (flips & np.roll(flips, 1, axis=1))
    true, total = ndimage.label(truth, np.ones((3, 3, 3)))
    guessed, predicted = ndimage.label(prediction, np.ones((3, 3, 3)))
    matched = []
    for i, j in product(range(1, total + 1), range(1, predicted + 1)):
        a, b = true == i, guessed == j
        iou = (a & b).sum() / (a | b).sum()
        matched += [iou] if iou >= 0.5 else []
    wrong = (total - len(matched)) / 2 + (predicted - len(matched)) / 2
    expected = sum(matched) / (len(matched) + wrong) if total + predicted else 1.0
    assert panoptic_quality([Overlap.measure(truth, prediction)]) == pytest.approx(expected)


def test_panoptic_quality_worked_by_hand() -> None:
    # One of IoU 3/4, one missed, one false: 3/4 / (1 + 1/2 + 1/2).
    overlap = Overlap.measure(section("####..##...."), section("###.......##"))
    assert panoptic_quality([overlap]) == pytest.approx(0.375)
    nothing = np.zeros((3, 3))
    assert panoptic_quality([Overlap.measure(nothing, nothing)]) == 1.0
    assert panoptic_quality([Overlap.measure(nothing, np.ones((3, 3)))]) == 0.0


def test_touching_objects_are_one_and_found_only_together() -> None:
    truth = section("######")
    halves = section("###.##")
    assert counts(match_instances(truth, halves)) == (1, 1, 2)
    assert Overlap.measure(truth, halves).true_ious.tolist() == [0.5]
    assert Overlap.measure(halves, truth).guessed_ious.tolist() == [0.5]
