from __future__ import annotations

import numpy as np
import pytest

from trainer.errors import InputError
from trainer.region import Region


def test_a_box_is_read_and_is_an_index() -> None:
    region = Region.parse("2, 3,5,9")
    assert region == Region(2, 3, 5, 9)
    section = np.arange(100).reshape(10, 10)
    assert section[region.slices].shape == (3, 6)
    assert section[region.slices][0, 0] == 23


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,x", "5,0,5,9", "0,9,5,9", "-1,0,5,9", "1.5,2,3,4"]
)
def test_what_is_no_box_is_one_line(text: str) -> None:
    with pytest.raises(InputError, match=r"^--box: expected y0,x0,y1,x1 in voxels"):
        Region.parse(text)


def test_a_box_beyond_the_section_is_one_line() -> None:
    region = Region(2, 3, 5, 9)
    region.check_within(5, 9)
    for height, width in ((4, 9), (5, 8)):
        with pytest.raises(InputError, match=rf"{height} x {width} voxels .* got 2,3,5,9"):
            region.check_within(height, width)


@pytest.mark.parametrize(
    ("size", "side", "window"),
    [
        ((20, 30), 64, (0, 0, 20, 30)),
        ((100, 100), 20, (35, 40, 55, 60)),
        ((100, 55), 20, (35, 35, 55, 55)),
        ((47, 100), 20, (27, 40, 47, 60)),
        ((100, 100), 4, (40, 45, 50, 55)),
    ],
)
def test_the_window_lies_around_the_box_and_within_the_section(
    size: tuple[int, int], side: int, window: tuple[int, ...]
) -> None:
    region = Region(40, 45, 50, 55) if size[0] > 40 else Region(4, 5, 9, 9)
    region = Region(40, 45, 46, 55) if size[0] == 47 else region
    assert region.window(*size, side) == Region(*window)


def test_cells_that_are_covered_in_part_count_in_part() -> None:
    share = Region(1, 2, 4, 4).share_of_cells(2, 3, 2)
    assert share.tolist() == [[0, 0.5, 0], [0, 1, 0]]
    assert Region(0, 0, 1, 1).share_of_cells(2, 2, 1).tolist() == [[1, 0], [0, 0]]


def test_a_box_beyond_the_grid_counts_for_the_nearest_cells() -> None:
    below = Region(4, 2, 5, 4).share_of_cells(2, 3, 2)
    assert below[1, 1] == 0.5
    assert below.sum() == 0.5
    corner = Region(4, 6, 5, 7).share_of_cells(2, 3, 2)
    assert (np.argwhere(corner) == [[1, 2]]).all()
