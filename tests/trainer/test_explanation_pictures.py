from __future__ import annotations

import numpy as np

from trainer.activation_map import LevelResponse
from trainer.explanation_pictures import draw_filters, draw_map, draw_region, patch_side
from trainer.filters import strongest_filters
from trainer.region import Region

REGION = Region(10, 20, 20, 40)


def gray() -> np.ndarray:
    return np.random.default_rng(0).integers(60, 180, (48, 64)).astype(np.uint8)


def test_the_box_is_green_around_the_region_and_not_in_it() -> None:
    drawn = draw_region(gray(), REGION, np.zeros((48, 64)))
    assert (drawn.shape, drawn.dtype) == ((48, 64, 3), np.uint8)
    coloured = np.ptp(drawn.astype(int), axis=2) > 0
    inner = coloured[REGION.y0 + 1 : REGION.y1 - 1, REGION.x0 + 1 : REGION.x1 - 1]
    assert not inner.any()
    assert drawn[9, 30].argmax() == 1
    assert not coloured[30:].any()


def test_what_is_foreground_is_outlined() -> None:
    foreground = np.zeros((48, 64), np.uint8)
    foreground[30:40, 5:15] = 1
    drawn = draw_region(gray(), REGION, foreground)
    assert drawn[30, 5].tolist() == [255, 210, 0]
    assert np.ptp(drawn[35, 10].astype(int)) == 0


def test_a_map_covers_where_it_is_strong_and_nowhere_else() -> None:
    strength = np.zeros((48, 64), np.float32)
    strength[40, 5] = 2
    drawn = draw_map(gray(), strength, REGION)
    assert np.ptp(drawn[40, 5].astype(int)) > 60
    assert drawn[45, 60].tolist() == [gray()[45, 60]] * 3


def test_an_empty_map_leaves_the_section_as_it_is() -> None:
    drawn = draw_map(gray(), np.zeros((48, 64), np.float32), REGION)
    assert drawn[45, 60].tolist() == [gray()[45, 60]] * 3


def test_filters_are_drawn_with_and_without_places() -> None:
    response = np.random.default_rng(1).random((24, 32, 3)).astype(np.float32)
    response[..., 2] = 0
    level = LevelResponse("down_1", response, response, 2)
    filters = strongest_filters(level, REGION, count=3)
    assert sorted(len(filter_.peaks) for filter_ in filters)[0] == 0
    drawn = draw_filters(gray(), REGION, filters, 2)
    assert drawn.dtype == np.uint8
    assert drawn.shape[2] == 3
    assert drawn.std() > 10
    silent = [filter_ for filter_ in filters if not filter_.peaks]
    assert draw_filters(gray(), REGION, silent, 2).shape[2] == 3


def test_the_scale_of_each_response_is_shown() -> None:
    response = np.random.default_rng(1).random((24, 32, 1)).astype(np.float32)
    drawn = []
    for values in (response, response * 10):
        level = LevelResponse("down_1", values, values, 2)
        drawn.append(draw_filters(gray(), REGION, strongest_filters(level, REGION, count=1), 2))
    # The map itself fills its range in both, so that they differ in the numbers of the bar alone.
    assert (drawn[0] != drawn[1]).any()


def test_patches_grow_with_the_cells() -> None:
    assert [patch_side(factor) for factor in (1, 2, 4, 8, 32)] == [32, 32, 64, 128, 128]
