from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from search_rig import COMPLETE, LOST, PRUNED, TOO_LARGE, SearchRig
from small_config import build_config

from search.budget import Budget
from search.objectives import pareto_front
from search.results import best_rows, best_trials, status_row
from search.retention import Retention
from search.simulate import Assumptions, simulate
from search.space import build_space
from search.standing import take_stock
from search.study_note import StudyNote
from storage.checkpoints import CheckpointStore
from trainer.footprint import count_weights
from trainer.hyperparameters import Hyperparameters

SPACE = {
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "filters": [4, 8, 16],
    "depth": 2,
    "tile_size": 64,
}


def size(run: Hyperparameters, epoch: int) -> dict[str, float]:
    return {"parameters": count_weights(run)}


def test_the_front_holds_what_nothing_else_beats() -> None:
    points = {0: [0.9, 50], 1: [0.8, 20], 2: [0.85, 60], 3: [0.9, 40], 4: [0.8, 20], 5: [0.1, 5]}
    assert pareto_front(points.items()) == [3, 1, 5]
    assert pareto_front([]) == []


@pytest.fixture
def two(rig: SearchRig) -> SearchRig:
    rig.space, rig.second_objective, rig.sampler = build_space(SPACE), "parameters", "tpe"
    return rig


def run(rig: SearchRig, trials: int, script: Any = None) -> None:
    workers = rig.workers(2, script)
    workers.facts = size
    assert rig.run(Budget(trials=trials), workers).kind == "done"


def test_a_study_with_two_objectives_is_told_both_and_keeps_its_curves(two: SearchRig) -> None:
    run(two, 14, {(2, 2): LOST, (6, 0): TOO_LARGE})
    run(two, 16)
    trials = two.trials()
    assert {trial.number for trial in two.trials(PRUNED)} == {6}
    for trial in two.trials(COMPLETE):
        assert trial.values[1] == trial.user_attrs["parameters"]
        assert list(trial.intermediate_values) == [1, 2, 3]
    assert two.standing.spent.epochs == sum(len(t.intermediate_values) for t in trials) - 1
    dice = {trial.number: trial.values[0] for trial in two.trials(COMPLETE)}
    assert two.standing.best is not None
    assert two.standing.best[1] == max(dice.values())
    stock = take_stock(two.study(), epochs=3, epochs_each=3)
    assert (stock.best, stock.counts) == (two.standing.best, two.standing.counts)


def test_the_best_are_the_front_and_keep_their_checkpoints(two: SearchRig, tmp_path: Path) -> None:
    two.keep = 1
    run(two, 16)
    config = build_config(tmp_path, study={"pruner": "none", "second_objective": "parameters"})
    study = two.study()
    rows = best_rows(study, config, 10)
    front = [row["values"] for row in rows]
    assert front == sorted(front, reverse=True)
    assert len(front) > 1
    for trial in two.trials(COMPLETE):
        assert any(one >= trial.values[0] and other <= trial.values[1] for one, other in front)
    assert [row["value"] for row in rows] == [values[0] for values in front]
    assert json.dumps(status_row(study, Budget(), tmp_path))
    kept = {trial.number for trial in best_trials(study, config, 10)}
    assert set(two.checkpoints.trials()) == kept
    StudyNote(study, config).write("nothing")
    Retention(two.checkpoints, keep=1).sweep(study, epochs=3, paused=[])
    assert set(two.checkpoints.trials()) == kept


def test_what_leaves_the_best_stays_while_it_is_on_the_front(tmp_path: Path) -> None:
    retention = Retention(CheckpointStore(tmp_path), keep=1)
    retention.finished(0, [0.5, 10])
    retention.finished(1, [0.6, 20])
    assert retention._outdone == []
    retention.finished(2, [0.7, 5])
    assert retention._outdone == [0, 1]


@pytest.mark.parametrize("second", ["parameters", "prediction_seconds_per_megavoxel"])
@pytest.mark.parametrize("sampler", ["tpe", "qmc", "random", "grid"])
def test_a_search_for_two_things_can_be_simulated(
    tmp_path: Path, sampler: str, second: str
) -> None:
    study = {"pruner": "none", "second_objective": second, "sampler": sampler}
    config = build_config(tmp_path, study=study)
    forecast = simulate(config, Assumptions(slots=2))
    assert (forecast.ending, forecast.counts["COMPLETE"]) == ("done", 4)


@pytest.mark.parametrize("pruner", ["hyperband", "successive_halving", "median", "patient", "none"])
@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "qmc", "random", "grid", "one_at_a_time"])
def test_every_sampler_goes_with_every_pruner(tmp_path: Path, sampler: str, pruner: str) -> None:
    constraints = {"epoch_seconds": 70.0, "parameters": 10**6}
    config = build_config(
        tmp_path, study={"sampler": sampler, "pruner": pruner}, constraints=constraints
    )
    forecast = simulate(config, Assumptions(slots=2))
    assert forecast.ending == "done"
    assert forecast.trials == 4
