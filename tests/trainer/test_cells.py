from __future__ import annotations

import numpy as np
import pytest

from trainer.cells import Cells, build_cells


@pytest.fixture(scope="module")
def cells() -> Cells:
    return build_cells((21, 90, 101), np.random.default_rng(0))


def test_every_voxel_belongs_to_one_of_several_cells(cells: Cells) -> None:
    assert cells.label.shape == cells.depth.shape == (21, 90, 101)
    assert cells.label.max() < cells.count
    assert len(np.unique(cells.label)) > 4


def test_depth_is_small_at_the_border_between_cells_and_large_in_the_middle(cells: Cells) -> None:
    border = cells.label[:, :, 1:] != cells.label[:, :, :-1]
    assert np.percentile(cells.depth[:, :, 1:][border], 95) < 3
    assert cells.depth.min() >= 0
    assert cells.depth.max() > 15
