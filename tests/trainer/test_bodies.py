from __future__ import annotations

import numpy as np
import pytest

from trainer.bodies import Body, BodyPlacer
from trainer.cells import Cells, build_cells

SHAPE = (30, 90, 100)


@pytest.fixture(scope="module")
def cells() -> Cells:
    return build_cells(SHAPE, np.random.default_rng(0))


@pytest.fixture(scope="module")
def bodies(cells: Cells) -> list[Body]:
    return list(BodyPlacer(cells, np.random.default_rng(1)).place(0.08, (12, 20), 1.5))


def test_bodies_fill_the_share_that_was_asked_for(bodies: list[Body]) -> None:
    filled = sum(np.count_nonzero(body.depth > 0) for body in bodies)
    assert 0.08 <= filled / np.prod(SHAPE) < 0.1


def test_no_two_bodies_touch(bodies: list[Body]) -> None:
    times = np.zeros(SHAPE, int)
    for body in bodies:
        times[body.box] += body.depth > -1
    assert len(bodies) > 3
    assert times.max() == 1


def test_a_body_lies_in_one_cell_clear_of_its_membrane(bodies: list[Body], cells: Cells) -> None:
    for body in bodies:
        inside = body.depth > 0
        assert len(np.unique(cells.label[body.box][inside])) == 1
        assert cells.depth[body.box][inside].min() > 2


def test_a_full_volume_ends_the_search_for_room(cells: Cells) -> None:
    placer = BodyPlacer(cells, np.random.default_rng(1))
    filled = sum((body.depth > 0).sum() for body in placer.place(0.99, (20, 30), 1.0))
    assert 0 < filled < 0.6 * np.prod(SHAPE)
