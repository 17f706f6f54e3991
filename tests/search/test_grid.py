from __future__ import annotations

import math
from typing import Any

import pytest

from search.grid import Grid, grid_values
from search.space import build_space, matters

SMALL: dict[str, Any] = {
    "optimizer": ["adam", "sgd"],
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "beta_1": {"low": 0.8, "high": 0.9, "points": 2},
    "momentum": {"low": 0.5, "high": 0.9},
    "depth": {"low": 2, "high": 3},
}


def entries(grid: Grid) -> list[dict[str, Any]]:
    return [dict(grid.entry(index).params) for index in range(grid.size)]


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ({"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}, [1e-4, 1e-3, 1e-2]),
        ({"dropout": {"low": 0.0, "high": 0.4, "points": 5}}, [0.0, 0.1, 0.2, 0.3, 0.4]),
        ({"dropout": {"low": 0.0, "high": 0.4, "points": 2}}, [0.0, 0.4]),
        ({"depth": {"low": 2, "high": 3}}, [2, 3]),
        ({"depth": {"low": 2, "high": 5, "points": 9}}, [2, 3, 4, 5]),
        ({"dropout": {"low": 0.0, "high": 0.4, "step": 0.2, "points": 9}}, [0.0, 0.2, 0.4]),
        ({"filters": [4, 16, 8]}, [4, 16, 8]),
    ],
)
def test_a_range_has_points_on_its_own_scale(table: dict[str, Any], values: list[Any]) -> None:
    (dimension,) = build_space(table).dimensions
    found = grid_values(dimension)
    assert found == pytest.approx(values)
    assert all(dimension.holds(value) for value in found)
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize("points", [1, 0, 2.0, True, "3"])
def test_points_that_make_no_grid_are_refused(points: Any) -> None:
    with pytest.raises(ValueError, match=r"space\.dropout\.points: expected a whole number from 2"):
        build_space({"dropout": {"points": points}})


def test_a_dimension_that_does_not_matter_makes_no_combinations() -> None:
    space = build_space(SMALL)
    grid = Grid(space, seed=5)
    # 3 rates and 2 depths with 2 beta_1 (adam) or 3 momenta (sgd).
    assert grid.size == 3 * 2 * (2 + 3)
    found = entries(grid)
    assert len({tuple(sorted(each.items())) for each in found}) == grid.size
    for each in found:
        assert each.keys() == {
            name for name in SMALL if matters(name, {**space.fixed, "momentum": 0.5, **each})
        }


def test_every_seed_visits_the_same_grid_from_another_place() -> None:
    space = build_space(SMALL)
    first, second = entries(Grid(space, seed=1)), entries(Grid(space, seed=2))
    assert first != second
    assert sorted(map(str, first)) == sorted(map(str, second))


def test_a_tenth_of_a_grid_sees_every_value() -> None:
    space = build_space(
        {
            "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True, "points": 4},
            "dropout": {"points": 5},
            "filters": [4, 8, 16],
            "depth": {"low": 1, "high": 5, "points": 5},
            "tile_size": 64,
        }
    )
    grid = Grid(space)
    part = [grid.entry(index).params for index in range(grid.size // 10)]
    for dimension in space.dimensions:
        assert {each[dimension.name] for each in part} == set(grid_values(dimension))


def test_a_grid_that_could_never_be_listed_is_counted() -> None:
    everything = {name: {} for name in ("beta_1", "beta_2", "epsilon", "dropout", "zoom", "warmup")}
    grid = Grid(build_space({**everything, "learning_rate": {"points": 10**4}}))
    assert grid.size == 3**6 * 10**4
    assert grid.entry(grid.size - 1).params.keys() == grid.defaults.keys()


def test_a_space_without_dimensions_is_one_run() -> None:
    grid = Grid(build_space({"depth": 2}))
    assert (grid.size, entries(grid)) == (1, [{}])
    assert math.isfinite(grid.size)
