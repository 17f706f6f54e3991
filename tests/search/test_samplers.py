from __future__ import annotations

from typing import Any, get_args

import optuna
import pytest

from search.config import StudyConfig
from search.samplers import SAMPLERS, build_sampler


def draw(name: str, seed: int, trials: int = 16) -> list[dict[str, Any]]:
    study = optuna.create_study(direction="maximize", sampler=build_sampler(name, seed=seed))
    for _ in range(trials):
        trial = study.ask()
        rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
        # A dimension that only some trials have.
        momentum = trial.suggest_float("momentum", 0, 1) if trial.number % 2 else 0.0
        study.tell(trial, rate + momentum)
    return [trial.params for trial in study.trials]


def test_a_config_knows_the_samplers_that_there_are() -> None:
    assert get_args(StudyConfig.model_fields["sampler"].annotation) == SAMPLERS


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_seed_decides_what_is_drawn(name: str) -> None:
    assert draw(name, 3) == draw(name, 3)
    assert draw(name, 3) != draw(name, 4)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_seed_beyond_the_largest_one_is_still_one(name: str) -> None:
    assert draw(name, 2**32 + 3, trials=2) == draw(name, 3, trials=2)


def test_tpe_learns_where_the_good_values_are() -> None:
    study = optuna.create_study(direction="maximize", sampler=build_sampler("tpe", seed=1))
    study.optimize(lambda trial: -abs(trial.suggest_float("x", 0, 1) - 0.8), n_trials=40)
    late = [trial.params["x"] for trial in study.trials[-15:]]
    assert sum(abs(x - 0.8) < 0.2 for x in late) > 8
