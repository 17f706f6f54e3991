from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from trainer.boundary import boundary_dice

SHAPES = st.sampled_from([(4, 6, 5), (1, 5, 7), (6, 7)])
VOLUMES = SHAPES.flatmap(
    lambda shape: st.tuples(
        arrays.arrays(np.uint8, shape, elements=st.integers(0, 1)),
        arrays.arrays(np.uint8, shape, elements=st.integers(0, 1)),
    )
)


def border_by_hand(mask: np.ndarray) -> np.ndarray:
    """Foreground voxels one of whose faces shows background, one voxel at a time."""
    border = np.zeros(mask.shape, bool)
    for place in zip(*np.nonzero(mask), strict=True):
        for axis, step in product(range(mask.ndim), (-1, 1)):
            near = list(place)
            near[axis] += step
            if 0 <= near[axis] < mask.shape[axis] and not mask[tuple(near)]:
                border[place] = True
    return border


def by_distance_transform(truth: np.ndarray, prediction: np.ndarray, tolerance: int) -> float:
    borders = [border_by_hand(truth), border_by_hand(prediction)]
    total = sum(int(border.sum()) for border in borders)
    if total == 0:
        return float((truth == prediction).all())
    near = 0
    for this, other in (borders, borders[::-1]):
        # Without any border to measure from, scipy's distances mean nothing.
        if other.any():
            near += int((ndimage.distance_transform_edt(~other)[this] <= tolerance).sum())
    return near / total


@settings(deadline=None)
@given(masks=VOLUMES)
def test_it_is_what_distance_transforms_of_both_borders_give(
    masks: tuple[np.ndarray, np.ndarray],
) -> None:
    truth, prediction = masks
    found = boundary_dice(truth, prediction, (0, 1, 2, 3))
    for tolerance, dice in found.items():
        assert dice == pytest.approx(by_distance_transform(truth, prediction, tolerance))


def test_bodies_of_a_larger_volume_too() -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(2).normal(size=(20, 40, 50)), 3)
    truth, prediction = noise > 0, np.roll(noise, 1, axis=1) > 0.02
    found = boundary_dice(truth, prediction)
    assert 0.3 < found[1] < found[2] < 1
    for tolerance, dice in found.items():
        assert dice == pytest.approx(by_distance_transform(truth, prediction, tolerance))


def one_voxel(y: int, x: int) -> np.ndarray:
    mask = np.zeros((1, 9, 9), np.uint8)
    mask[0, y, x] = 1
    return mask


@pytest.mark.parametrize(
    ("place", "dice"),
    [((4, 4), (1, 1)), ((4, 5), (1, 1)), ((5, 5), (0, 1)), ((4, 6), (0, 1)), ((5, 6), (0, 0))],
)
def test_one_voxel_is_forgiven_what_its_distance_allows(
    place: tuple[int, int], dice: tuple[int, int]
) -> None:
    assert boundary_dice(one_voxel(4, 4), one_voxel(*place)) == {1: dice[0], 2: dice[1]}


def test_a_mask_grown_by_one_voxel_is_right_within_one() -> None:
    truth = np.zeros((12, 12, 12), np.uint8)
    truth[4:8, 4:8, 4:8] = 1
    grown = ndimage.binary_dilation(truth)
    assert boundary_dice(truth, grown, (0, 1)) == {0: 0.0, 1: 1.0}


def test_the_faces_of_the_volume_are_no_boundary_and_not_joined() -> None:
    left, right = np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8), np.uint8)
    left[..., :3], right[..., 5:] = 1, 1
    # The boundaries are the columns 2 and 5; columns 7 and 0 would be neighbours in memory.
    assert boundary_dice(left, right, (2, 3)) == {2: 0.0, 3: 1.0}


def test_nothing_and_everything() -> None:
    nothing, everything, one = np.zeros((2, 3, 3)), np.ones((2, 3, 3)), np.zeros((2, 3, 3))
    one[0, 1, 1] = 1
    for same in (nothing, everything):
        assert boundary_dice(same, same) == {1: 1.0, 2: 1.0}
    for a, b in ((nothing, everything), (nothing, one), (one, nothing), (everything, nothing)):
        assert boundary_dice(a, b) == {1: 0.0, 2: 0.0}


def test_masks_of_different_shapes_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"truth is \(2, 3\), prediction is \(3, 3\)"):
        boundary_dice(np.zeros((2, 3)), np.zeros((3, 3)))
