from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from small_config import build_config

from search.estimate import estimate_price
from search.extremes import largest, smallest
from search.space import build_space
from search.strategy import describe_price, describe_strategy


def test_a_usual_search_needs_no_words(tmp_path: Path) -> None:
    assert describe_strategy(build_config(tmp_path)) == []


def test_a_plan_tells_its_size_first(tmp_path: Path) -> None:
    grid = build_config(tmp_path, study={"sampler": "grid"}, budget={"trials": 4})
    assert describe_strategy(grid) == [
        "grid: 6 combinations; 4 trials of at most 3 epochs, 12 epochs in all"
    ]
    changes = build_config(tmp_path, study={"sampler": "one_at_a_time"}, budget={"trials": 99})
    (line,) = describe_strategy(changes)
    assert line.startswith("one_at_a_time: 4 runs, the baseline among them; 4 trials")


def test_a_second_objective_is_offered_as_a_constraint(tmp_path: Path) -> None:
    study = {"pruner": "none", "second_objective": "parameters"}
    (line,) = describe_strategy(build_config(tmp_path, study=study))
    assert "no trial is pruned; a limit parameters in [constraints]" in line


def test_a_limit_of_time_delays_the_pruner(tmp_path: Path) -> None:
    limits = {"epoch_seconds": 60.0}
    (line,) = describe_strategy(build_config(tmp_path, constraints=limits))
    assert "no trial is pruned before" in line
    assert describe_strategy(build_config(tmp_path, constraints={"parameters": 10**6})) == []


def test_a_gaussian_process_over_many_trials_is_warned_of(tmp_path: Path) -> None:
    study = {"sampler": "gp"}
    assert describe_strategy(build_config(tmp_path, study=study, budget={"trials": 200})) == []
    assert describe_strategy(build_config(tmp_path, study=study, budget={"trials": 201}))


def test_the_price_of_a_plan_is_known_from_the_first_epochs(tmp_path: Path) -> None:
    config = build_config(
        tmp_path,
        study={"sampler": "grid"},
        budget={"trials": None, "price_per_device_hour": 2.0},
    )
    study = optuna.create_study(direction="maximize")
    assert describe_price(study, config).startswith("price: 18 epochs at most; ")
    trial = study.ask()
    trial.set_user_attr("epoch_seconds", 400.0)
    study.tell(trial, 0.5)
    assert describe_price(study, config) == (
        "price: at most 2.00 device hours for 4.00 in money, what is spent included"
    )


@pytest.mark.parametrize("preset", [{}, {"preset": "report_2019"}])
def test_every_way_has_its_price(tmp_path: Path, preset: dict[str, str]) -> None:
    space = {
        "learning_rate": {"low": 1e-5, "high": 1e-4, "log": True},
        "optimizer": ["adam", "sgd"],
        "momentum": {},
        "depth": 2,
        "tile_size": 64,
    }
    config = build_config(
        tmp_path,
        space={**space, **preset},
        budget={"trials": 5, "price_per_device_hour": 3.0},
        workers={"gpus_per_trial": 0.5},
    )
    price = estimate_price(config, epoch_seconds=1200.0, slots=2)
    assert price["grid"] == {
        # 3 rates, each with adam or with sgd at 3 momenta.
        "trials": 12,
        "hours": 6.0,
        "device_hours": 6.0,
        "money": 18.0,
    }
    # The middle has sgd: 2 other rates, 1 other optimizer, 2 other momenta.
    assert price["one_at_a_time"]["trials"] == 6
    assert price["search"]["trials"] == 5
    assert 0 < price["search"]["hours"] <= 2.5


def test_the_extremes_of_a_space_are_the_least_and_most_memory() -> None:
    space = build_space(
        {
            "filters": [8, 4, 16],
            "depth": {"low": 1, "high": 3},
            "batch_size": [4, 2, 8],
            "normalization": ["batch", "none"],
            "learning_rate": {},
            "tile_size": 64,
        }
    )
    small, large = smallest(space), largest(space)
    assert (small.filters, small.batch_size, small.normalization) == (4, 2, "none")
    assert (large.filters, large.batch_size, large.normalization) == (16, 8, "batch")
    assert (small.depth, large.depth) == (1, 3)
