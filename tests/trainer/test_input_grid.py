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
