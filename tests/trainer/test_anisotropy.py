from __future__ import annotations

import math
from typing import Any

import pytest

from trainer.anisotropy import count_planar_levels, plan_pooling
from trainer.hyperparameters import Hyperparameters


@pytest.mark.parametrize(
    ("voxel_size_nm", "levels"),
    [
        (None, 0),
        ((5.0, 5.0, 5.0), 0),
        ((5.0, 10.0, 10.0), 0),  # finer along z: pooled alike
        ((9.9, 5.0, 5.0), 0),
        ((10.0, 5.0, 5.0), 1),
        ((29.0, 4.0, 4.0), 2),  # from 7.25 over 3.6 to 1.8
        ((40.0, 4.0, 4.0), 3),
        ((40.0, 8.0, 4.0), 3),
        ((50.0, 4.6, 4.6), 3),
    ],
)
def test_levels_stay_in_the_plane_while_z_is_twice_as_coarse(
    voxel_size_nm: Any, levels: int
) -> None:
    assert count_planar_levels(voxel_size_nm) == levels


@pytest.mark.parametrize(
    ("levels", "planar", "sections", "along_z"),
    [
        (5, 0, 32, (2, 2, 2, 1)),
        (5, 0, 16, (2, 2, 1, 1)),
        (5, 0, 8, (2, 1, 1, 1)),
        (5, 0, 7, (1, 1, 1, 1)),
        (5, 1, 16, (1, 2, 2, 1)),
        (5, 3, 16, (1, 1, 1, 2)),
        (5, 8, 64, (1, 1, 1, 1)),
        (2, 0, 64, (2,)),
    ],
)
def test_sections_are_halved_below_the_planar_levels_until_four_are_left(
    levels: int, planar: int, sections: int, along_z: tuple[int, ...]
) -> None:
    plan = plan_pooling(levels, planar, sections)
    assert tuple(z for z, _, _ in plan) == along_z
    assert {(y, x) for _, y, x in plan} == {(2, 2)}


def test_the_plan_is_the_hyperparameters_alone() -> None:
    run = Hyperparameters(
        dimensions="3d", depth=4, planar_levels=1, tile_sections=16, kernel="5x5", tile_size=64
    )
    assert run.pooling == ((1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))
    assert (run.halvings, run.section_halvings) == (16, 4)
    assert run.tile_shape == (16, 64, 64)
    kernels = [run.kernel_shape(level, 5) for level in range(5)]
    assert kernels == [(1, 5, 5), *[(5, 5, 5)] * 4]
    assert Hyperparameters.from_mapping(run.to_mapping()).pooling == run.pooling


def test_in_2d_there_is_no_z() -> None:
    run = Hyperparameters(depth=3, planar_levels=2, tile_sections=7, section_channels=3)
    assert run.pooling == ((2, 2),) * 3
    assert (run.section_halvings, run.tile_shape, run.input_channels) == (1, (256, 256), 3)
    assert run.kernel_shape(0, 3) == (3, 3)
    assert math.prod(run.tile_shape) == 256**2
