from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from trainer.small_objects import choose_smallest_object, drop_small_objects

EVERYWHERE = np.ones((3, 3, 3))


def volume(*boxes: tuple[slice, ...], shape: tuple[int, ...] = (6, 12, 12)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for box in boxes:
        mask[box] = True
    return mask


LARGE = (slice(0, 6), slice(0, 4), slice(0, 4))  # 96 voxels
SMALL = (slice(2, 4), slice(8, 10), slice(8, 10))  # 8 voxels
SPECK = (slice(0, 1), slice(11, 12), slice(0, 1))  # 1 voxel


def test_objects_of_fewer_voxels_become_background() -> None:
    probability = np.where(volume(LARGE, SMALL), 200, 90).astype(np.uint8)
    expected = np.where(volume(LARGE), 200, np.where(volume(SMALL), 0, 90))
    np.testing.assert_array_equal(drop_small_objects(probability, 128, 9), expected)
    for voxels in (0, 1, 8):
        np.testing.assert_array_equal(drop_small_objects(probability, 128, voxels), probability)


def test_voxels_that_touch_by_a_corner_are_one_object() -> None:
    probability = np.zeros((3, 3, 3), np.uint8)
    probability[0, 0, 0] = probability[1, 1, 1] = 255
    np.testing.assert_array_equal(drop_small_objects(probability, 128, 2), probability)
    assert not drop_small_objects(probability, 128, 3).any()


def test_an_empty_volume_has_no_objects() -> None:
    assert drop_small_objects(np.zeros((0, 4, 4), np.uint8), 128, 5).shape == (0, 4, 4)


# Odd sides, single voxels at the borders: what binary images are labelled wrong with.
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 7)),
    voxels=st.integers(0, 12),
    share=st.floats(0.02, 0.6),
)
def test_what_is_dropped_is_what_scipy_finds_small(
    seed: int, shape: tuple[int, int, int], voxels: int, share: float
) -> None:
    mask = np.random.default_rng(seed).random(shape) < share
    labels, count = ndimage.label(mask, EVERYWHERE)
    sizes = np.bincount(labels.reshape(-1), minlength=count + 1)
    expected = mask & (sizes[labels] >= voxels)
    kept = drop_small_objects(mask.astype(np.uint8) * np.uint8(255), 128, voxels)
    np.testing.assert_array_equal(kept > 0, expected)


def test_the_least_number_that_takes_all_false_objects_away_is_chosen() -> None:
    assert choose_smallest_object([volume(LARGE, SMALL, SPECK)], [volume(LARGE)]) == 9


def test_an_object_that_is_true_stays_though_it_is_small() -> None:
    assert choose_smallest_object([volume(LARGE, SMALL, SPECK)], [volume(LARGE, SMALL)]) == 2
    assert choose_smallest_object([volume(LARGE, SMALL)], [volume(LARGE, SMALL)]) == 0


def test_nothing_predicted_leaves_nothing_to_drop() -> None:
    assert choose_smallest_object([volume()], [volume(LARGE)]) == 0


def test_several_blocks_are_judged_together() -> None:
    # Alone the first would do without objects of 8 voxels, but in the others they are right.
    masks = [volume(LARGE, SMALL)] * 3
    truths = [volume(LARGE), volume(LARGE, SMALL), volume(LARGE, SMALL)]
    assert choose_smallest_object(masks[:1], truths[:1]) == 9
    assert choose_smallest_object(masks, truths) == 0


def test_what_is_half_as_large_as_a_true_object_is_never_taken_away() -> None:
    false = (slice(0, 5), slice(6, 8), slice(8, 12))  # 40 voxels
    assert choose_smallest_object([volume(LARGE, false)], [volume(LARGE)]) == 41
    wide = (slice(0, 6), slice(6, 8), slice(8, 12))  # 48 voxels, half of the 96 of the true one
    assert choose_smallest_object([volume(LARGE, wide)], [volume(LARGE)]) == 0


@pytest.mark.parametrize("seed", range(6))
def test_no_other_number_gives_a_higher_dice(seed: int) -> None:
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.random((8, 40, 40)), (2, 3, 3))
    truth = smooth > np.quantile(smooth, 0.8)
    mask = truth ^ (random.random(truth.shape) < 0.01)

    def dice(voxels: int) -> float:
        kept = drop_small_objects(mask.astype(np.uint8) * np.uint8(255), 128, voxels) > 0
        return 2 * np.count_nonzero(kept & truth) / (kept.sum() + truth.sum())

    chosen = choose_smallest_object([mask], [truth])
    labels, count = ndimage.label(truth, EVERYWHERE)
    most = int(np.median(np.bincount(labels[truth])[1:]) / 2)
    scores = [dice(voxels) for voxels in range(most + 1)]
    assert count > 1
    assert most > 5
    assert max(scores) > scores[0]
    # Numbers up to the smallest object keep all, as 0 does: the first of equals is the least.
    assert chosen == scores.index(max(scores))
