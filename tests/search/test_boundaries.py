from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from search.boundaries import check_edges
from search.plan import CHANGE
from search.report_runs import Run
from search.space import Space, build_space

RATE = {"low": 1e-5, "high": 1e-1, "log": True}
DROPOUT = {"low": 0.0, "high": 0.5}


def run(number: int, value: float, **params: Any) -> Run:
    return Run(number, TrialState.COMPLETE, params, {3: value}, value, True, {})


def ranked(name: str, *values: Any) -> list[Run]:
    """Runs with these values of a dimension, each a little worse than the one before."""
    return [run(number, 0.9 - number / 100, **{name: value}) for number, value in enumerate(values)]


def found(runs: list[Run], space: Space) -> list[tuple[str, str, float]]:
    return [(each.name, each.end, each.bound) for each in check_edges(runs, space).edges]


def test_runs_that_crowd_at_an_edge_are_told() -> None:
    random = np.random.default_rng(0)
    space = build_space({"learning_rate": RATE, "dropout": DROPOUT, "loss": ["bce", "dice"]})

    def drawn(score: Any) -> list[Run]:
        rates, dropouts = 10 ** random.uniform(-5, -1, 40), random.uniform(0, 0.5, 40)
        return [
            run(number, score(np.log10(rate) + 3, dropout), learning_rate=rate, dropout=dropout)
            for number, (rate, dropout) in enumerate(zip(rates, dropouts, strict=True))
        ]

    crowded = drawn(lambda rate, dropout: dropout)
    assert found(crowded, space) == [("dropout", "high", 0.5)]
    (edge,) = check_edges(crowded, space).edges
    assert (edge.crowded, edge.best, edge.expected) == (4, 4, pytest.approx(0.4))
    middle = check_edges(drawn(lambda rate, dropout: -abs(rate) - abs(dropout - 0.25)), space)
    assert (middle.edges, middle.told) == ([], ["learning_rate", "dropout"])


def test_of_two_values_each_is_an_end_and_neither_an_edge() -> None:
    space = build_space({"depth": {"low": 3, "high": 4}, "batch_size": [2, 16]})
    runs = [
        replace(each, params={"depth": 4, "batch_size": 16}) for each in ranked("depth", *"abc")
    ]
    check = check_edges(runs, space)
    assert (check.edges, check.told, check.untold) == ([], [], [])


def test_what_chance_puts_at_an_end_is_no_crowd() -> None:
    space = build_space({"depth": {"low": 3, "high": 5}})
    # A third lies at each end by chance: of three runs often two, of five hardly all.
    assert found(ranked("depth", 5, 5, 4), space) == []
    best, rest = [5] * 5, [3, 4, 5] * 15
    assert found(ranked("depth", *best, *rest), space) == [("depth", "high", 5)]
    assert found(ranked("depth", 5, 5, 5, 3, 4, *rest), space) == []


def test_the_more_dimensions_there_are_the_less_one_of_them_says() -> None:
    runs = ranked("depth", 5, 5, 5)
    one = check_edges(runs, build_space({"depth": {"low": 3, "high": 5}}))
    others = {name: {} for name in ("dropout", "zoom", "brightness", "contrast")}
    many = check_edges(runs, build_space({"depth": {"low": 3, "high": 5}, **others}))
    assert (len(one.edges), one.untold) == (1, [])
    assert (many.edges, "depth" in many.untold) == ([], True)


@pytest.mark.parametrize("values", [[2, 4, 8, 16], [16, 4, 2, 8]])
def test_a_list_of_numbers_has_ends_however_it_is_written(values: list[int]) -> None:
    space = build_space({"batch_size": values})
    assert found(ranked("batch_size", 16, 16, 16), space) == [("batch_size", "high", 16)]
    assert found(ranked("batch_size", 2, 2, 2), space) == [("batch_size", "low", 2)]
    assert found(ranked("batch_size", 8, 8, 8), space) == []


def test_a_list_of_words_has_none() -> None:
    space = build_space({"loss": ["bce", "dice", "focal", "tversky"]})
    check = check_edges(ranked("loss", *["tversky"] * 3), space)
    assert (check.edges, check.told, check.untold) == ([], [], [])


def test_whole_numbers_by_powers_are_as_likely_as_they_are_wide() -> None:
    space = build_space({"filters": {"low": 1, "high": 3, "log": True}})
    # More than half of all draws are a 1, and a sixth of them a 3.
    (edge,) = check_edges(ranked("filters", 3, 3, 3), space).edges
    assert edge.expected == pytest.approx(3 * np.log(3.5 / 2.5) / np.log(7))
    assert found(ranked("filters", *[1] * 3), space) == []


def test_steps_of_a_range_are_counted() -> None:
    space = build_space({"dropout": {"low": 0.0, "high": 0.5, "step": 0.25}})
    (edge,) = check_edges(ranked("dropout", 0.5, 0.5, 0.5), space).edges
    assert edge.expected == pytest.approx(1)


def test_too_few_runs_tell_nothing() -> None:
    space = build_space({"dropout": DROPOUT})
    check = check_edges(ranked("dropout", 0.5, 0.5), space)
    assert (check.edges, check.told, check.untold) == ([], [], ["dropout"])
    assert check_edges(ranked("dropout", 0.5, 0.5, 0.5), space).told == ["dropout"]


def test_ideas_of_the_config_do_not_count() -> None:
    space = build_space({"dropout": DROPOUT})
    ideas = [replace(each, facts={CHANGE: "idea"}) for each in ranked("dropout", *[0.0] * 5)]
    drawn = [replace(each, number=9 + each.number) for each in ranked("dropout", 0.5, 0.5, 0.5)]
    assert check_edges(ideas, space).untold == ["dropout"]
    assert found([*ideas, *drawn], space) == [("dropout", "high", 0.5)]


def test_a_value_that_the_space_has_no_more_is_left_out() -> None:
    space = build_space({"batch_size": [2, 4, 8, 16]})
    assert found(ranked("batch_size", 32, 16, 16, 16), space) == []
    assert check_edges(ranked("batch_size", 32, 16, 16), space).untold == ["batch_size"]
