from __future__ import annotations

import pytest

from trainer.hyperparameters import Hyperparameters
from trainer.input_grid import InputGrid


@pytest.mark.parametrize(
    ("tiles", "depths", "expected"), [((16, 16), (3, 3), 16), ((18, 16), (1, 3), 20)]
)
def test_the_slab_of_several_networks_suits_the_deepest(
    tiles: tuple[int, int], depths: tuple[int, int], expected: int
) -> None:
    networks = [
        Hyperparameters(dimensions="3d", depth=depth, tile_sections=sections, tile_size=32)
        for depth, sections in zip(depths, tiles, strict=True)
    ]
    grid = InputGrid.of(networks)
    assert grid.tile_sections % grid.section_halvings == 0
    assert grid.tile_sections == expected


def test_several_networks_are_given_every_section_that_one_of_them_sees() -> None:
    networks = [
        Hyperparameters(section_channels=channels, section_step=step)
        for channels, step in ((3, 1), (5, 3), (1, 9))
    ]
    assert InputGrid.of(networks).section_offsets == (-6, -3, -1, 0, 1, 3, 6)
    assert InputGrid.of(networks[2:]).section_offsets == (0,)
