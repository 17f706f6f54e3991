"""Which dimensions act together, of runs whose scores are made up."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
from optuna.trial import TrialState

from search.interactions import LEAST_RUNS, measure_interactions
from search.report_runs import Run
from search.space import build_space

SPACE = build_space(
    {
        "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
        "dropout": {"low": 0.0, "high": 0.5},
        "loss": ["bce", "dice"],
    }
)


def run(number: int, value: float, **params: Any) -> Run:
    return Run(number, TrialState.COMPLETE, params, {3: value}, value, True, {})


def drawn(count: int, score: Any, seed: int = 0) -> list[Run]:
    random = np.random.default_rng(seed)
    runs = []
    for number in range(count):
        params = {
            "learning_rate": 10 ** random.uniform(-5, -1),
            "dropout": random.uniform(0, 0.5),
            "loss": ("bce", "dice")[int(random.integers(2))],
        }
        runs.append(run(number, float(score(params)), **params))
    return runs


def at(params: dict[str, Any]) -> tuple[float, float]:
    return (np.log10(params["learning_rate"]) + 5) / 4 - 0.5, params["dropout"] / 0.5 - 0.5


def test_what_two_dimensions_do_to_each_other_is_found() -> None:
    runs = drawn(40, lambda params: 0.5 + at(params)[0] * at(params)[1])
    first, *others = measure_interactions(runs, SPACE.dimensions)
    assert set(first.names) == {"learning_rate", "dropout"}
    assert first.strength > 0.5
    assert all(each.strength < 0.2 for each in others)


def test_no_pair_is_credited_with_what_single_effects_do_not_predict() -> None:
    runs = drawn(LEAST_RUNS, lambda params: at(params)[0] * at(params)[1], seed=1)
    assert measure_interactions(runs, SPACE.dimensions)[0].strength <= 1


def test_what_each_does_by_itself_is_no_interaction() -> None:
    runs = drawn(40, lambda params: 0.5 + 0.3 * at(params)[0] - 0.2 * at(params)[1] ** 2)
    assert measure_interactions(runs, SPACE.dimensions)[0].strength < 0.05


def test_few_or_equal_runs_tell_nothing_of_interactions() -> None:
    few = drawn(LEAST_RUNS - 1, lambda params: at(params)[0])
    assert measure_interactions(few, SPACE.dimensions) == []
    assert measure_interactions(drawn(30, lambda params: 0.5), SPACE.dimensions) == []


def test_interactions_of_many_runs_need_no_matrix_of_runs_by_runs() -> None:
    runs = drawn(2000, lambda params: 0.5 + at(params)[0] * at(params)[1])
    tracemalloc.start()
    first, *_ = measure_interactions(runs, SPACE.dimensions)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert set(first.names) == {"learning_rate", "dropout"}
    assert peak < 2000 * 2000 * 8 / 4
