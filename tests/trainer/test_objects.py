from __future__ import annotations

import numpy as np
import pytest

from trainer.objects import empty_tile_share, measure_objects


def mask_of(*boxes: tuple[slice, slice, slice], shape: tuple[int, ...] = (8, 64, 96)) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    for box in boxes:
        mask[box] = 1
    return mask


def test_objects_are_counted_and_measured_in_sections_and_in_the_volume() -> None:
    mask = mask_of(
        np.s_[1:4, 10:20, 10:14],  # 3 sections of 40 voxels
        np.s_[5:7, 30:35, 40:60],  # 2 sections of 100 voxels
    )
    objects = measure_objects(mask)
    assert sorted(objects.areas) == [40, 40, 40, 100, 100]
    assert sorted(objects.volumes) == [120, 200]
    assert sorted(objects.extents) == [10, 10, 10, 20, 20]
    assert objects.per_section.tolist() == [0, 1, 1, 1, 0, 1, 1, 0]
    assert objects.at_border == 0
    assert objects.areas.sum() == objects.volumes.sum() == mask.sum()


def test_voxels_that_touch_by_a_corner_are_one_object() -> None:
    mask = mask_of(np.s_[2, 10, 10], np.s_[3, 11, 11], np.s_[3, 12, 12])
    objects = measure_objects(mask)
    assert len(objects.volumes) == 1
    assert sorted(objects.areas) == [1, 2]


@pytest.mark.parametrize("at", [(0, 30, 30), (7, 30, 30), (4, 0, 30), (4, 63, 30), (4, 30, 95)])
def test_an_object_at_a_face_may_be_cut(at: tuple[int, int, int]) -> None:
    mask = mask_of(np.s_[3:5, 40:44, 40:44])
    mask[at] = 1
    assert measure_objects(mask).at_border == 1


def test_a_tile_shows_an_object_whole() -> None:
    grown = mask_of(
        *(np.s_[2:4, 40 * k : 40 * k + 34, 5:15] for k in range(6)), shape=(8, 256, 256)
    )
    assert measure_objects(grown).suggest_tile_size() == 256  # 12 in 8 sections of 256 x 256
    many = mask_of(
        *(
            np.s_[0:8, 40 * k : 40 * k + 34, 40 * m : 40 * m + 9]
            for k in range(6)
            for m in range(6)
        ),
        shape=(8, 256, 256),
    )
    assert measure_objects(many).suggest_tile_size() == 64


def test_a_tile_is_no_larger_than_the_section_and_no_smaller_than_a_network_takes() -> None:
    lonely = mask_of(np.s_[2:4, 10:12, 10:12])
    assert measure_objects(lonely).suggest_tile_size() == 64
    crowded = np.zeros((2, 64, 64), np.uint8)
    crowded[:, ::4, ::4] = 1
    assert measure_objects(crowded).suggest_tile_size() == 32


def test_tiles_without_foreground_are_counted() -> None:
    mask = mask_of(np.s_[0, 0, 0], np.s_[1, 40, 70], shape=(2, 64, 96))
    assert empty_tile_share(mask, 32) == 1 - 2 / 12
    assert empty_tile_share(mask, 1000) == 0.0
