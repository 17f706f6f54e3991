from __future__ import annotations

import numpy as np
import pytest

from trainer.activation_map import LevelResponse
from trainer.filters import strongest_filters
from trainer.region import Region


def level(response: np.ndarray, gradient: np.ndarray | None = None) -> LevelResponse:
    """A level of half the section's resolution."""
    given = np.zeros_like(response) if gradient is None else gradient
    return LevelResponse("down_1", response, given, 2)


def test_the_filter_that_answers_in_the_box_alone_stands_out_most() -> None:
    response = np.random.default_rng(0).random((8, 10, 5)).astype(np.float32)
    response[2:4, 5:7, 3] += 4
    response[..., 1] = 7  # large, and everywhere the same
    first, *others = strongest_filters(level(response), Region(4, 10, 8, 14))
    assert first.number == 3
    assert first.peaks[0] in [(y, x) for y in (2, 3) for x in (5, 6)]
    flat = response[..., 3]
    assert first.mean_in_region == pytest.approx(flat[2:4, 5:7].mean())
    assert first.mean_in_section == pytest.approx(flat.mean())
    assert first.stands_out == pytest.approx(
        (flat[2:4, 5:7].mean() - flat.mean()) / flat.std(), rel=1e-4
    )
    assert [filter_.stands_out for filter_ in (first, *others)] == sorted(
        (filter_.stands_out for filter_ in (first, *others)), reverse=True
    )
    assert len(others) == 3


def test_a_filter_that_answers_the_same_everywhere_stands_out_nowhere() -> None:
    constant = strongest_filters(level(np.full((4, 4, 1), 3, np.float32)), Region(0, 0, 2, 2))[0]
    assert (constant.stands_out, constant.peaks) == (0.0, ())


def test_a_box_within_one_cell_reads_that_cell() -> None:
    response = np.zeros((4, 4, 1), np.float32)
    response[1, 2] = 5
    assert strongest_filters(level(response), Region(3, 4, 4, 5))[0].mean_in_region == 5


def test_the_effect_is_gradient_times_response_for_each_voxel_of_the_box() -> None:
    response, gradient = np.zeros((4, 4, 1), np.float32), np.zeros((4, 4, 1), np.float32)
    response[0, 0], response[1, 1] = 2, 3
    gradient[0, 0], gradient[1, 1] = 4, -1
    found = strongest_filters(level(response, gradient), Region(0, 0, 2, 5))[0]
    assert found.effect == pytest.approx((2 * 4 - 3) / 10)


def test_places_lie_apart() -> None:
    response = np.zeros((32, 32, 1), np.float32)
    for y, x, strength in ((5, 5, 9.0), (5, 8, 8.0), (25, 25, 7.0), (5, 25, 6.0)):
        response[y, x] = strength
    found = strongest_filters(level(response), Region(0, 0, 8, 8), peaks=2, apart=16)[0]
    assert found.peaks == ((5, 5), (25, 25))


def test_the_map_weighs_each_filter_by_its_mean_gradient() -> None:
    # Worked by hand: weights 1/2 and -1 for the two filters.
    response = np.array([[[4, 1], [0, 3]]], np.float32)
    gradient = np.array([[[1, -2], [0, 0]]], np.float32)
    assert level(response, gradient).activation_map.tolist() == [[1.0, 0.0]]


def test_what_was_mirrored_beyond_the_border_is_left_out() -> None:
    response = np.zeros((8, 10, 1), np.float32)
    response[7, 9] = 9
    whole = level(response)
    # Of 13 x 18 voxels in cells of 2 the middle of the last row lies at 13, outside of them.
    inner = whole.within((13, 18))
    assert inner.response.shape == inner.gradient.shape == (6, 9, 1)
    assert whole.within((16, 20)).response.shape == (8, 10, 1)
    assert inner.response.max() == 0


def test_a_box_in_a_mirrored_cell_alone_reads_the_nearest_one() -> None:
    response = np.random.default_rng(0).random((8, 10, 2)).astype(np.float32)
    inner = level(response).within((13, 18))
    # The last row of 13 voxels lies in the cells that were left out.
    for found in strongest_filters(inner, Region(12, 4, 13, 6)):
        assert found.mean_in_region == pytest.approx(response[5, 2, found.number])
        assert np.isfinite([found.stands_out, found.effect]).all()
