from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from small_config import build_config

from search import results
from search.budget import Budget
from search.config import Config
from search.results import (
    FINALISTS,
    WINNER,
    best_rows,
    best_trials,
    model_folder,
    ranked,
    status_row,
)
from search.standing import DEVICE_SECONDS_SPENT, SECONDS_SPENT
from search.verdict import Finalist, Score

VALUES = (0.7, 0.9, 0.8, 0.9)


NO_LOGS = Path("no logs")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return build_config(tmp_path, study={"epochs_per_trial": 2})


@pytest.fixture
def study() -> optuna.Study:
    """Four complete trials, one pruned, one lost and the one that goes on from it."""
    study = optuna.create_study(study_name="mito", direction="maximize")
    for value in VALUES:
        trial = study.ask()
        trial.suggest_float("rate", 0, 1)
        for epoch in (1, 2):
            trial.report(value * epoch / 2, epoch)
        trial.set_user_attr("threshold", 0.4)
        study.tell(trial, value)
    pruned = study.ask()
    pruned.report(0.95, 1)
    pruned.set_user_attr("reason", "stopped by the pruner after 1 of 2 epochs")
    study.tell(pruned, state=TrialState.PRUNED)
    lost = study.ask()
    lost.report(0.1, 1)
    lost.set_user_attr("reason", "the worker was lost")
    study.tell(lost, state=TrialState.FAIL)
    study.enqueue_trial({}, user_attrs={"retried_from": 5, "attempt": 1})
    return study


def test_the_best_come_first_and_only_at_full_budget(study: optuna.Study, config: Config) -> None:
    assert [trial.number for trial in best_trials(study, config, 10)] == [1, 3, 2, 0]
    assert [trial.number for trial in best_trials(study, config, 2)] == [1, 3]


def test_once_named_the_winner_leads(study: optuna.Study, config: Config) -> None:
    study.set_user_attr(WINNER, 2)
    assert [trial.number for trial in best_trials(study, config, 10)] == [2, 1, 3, 0]
    assert [trial.number for trial in ranked(study, config)] == [1, 3, 2, 0]


@pytest.mark.parametrize(
    ("epochs", "facts"),
    [(0, {}), (1, {"threshold": 0.4}), (2, {})],
    ids=["nothing trained", "an epoch short", "without a threshold"],
)
def test_what_somebody_else_told_complete_is_no_candidate(
    study: optuna.Study, config: Config, epochs: int, facts: dict[str, float]
) -> None:
    trial = study.ask()
    for epoch in range(1, epochs + 1):
        trial.report(0.99, epoch)
    for name, fact in facts.items():
        trial.set_user_attr(name, fact)
    study.tell(trial.number, 0.99)
    assert trial.number not in {known.number for known in ranked(study, config)}
    study.set_user_attr(WINNER, trial.number)
    assert [known.number for known in best_trials(study, config, 10)] == [1, 3, 2, 0]


def test_rows_of_the_best_are_what_json_prints(study: optuna.Study, config: Config) -> None:
    rows = best_rows(study, config, 1)
    assert json.loads(json.dumps(rows)) == [
        {
            "number": 1,
            "values": [0.9],
            "value": 0.9,
            "state": "COMPLETE",
            "params": study.trials[1].params,
            "epochs": 2,
            "user_attrs": {"threshold": 0.4},
            "model": None,
            "threshold": None,
            "postprocessing": None,
            "validation": None,
            "repeats": None,
            "front": None,
        }
    ]


def test_a_finalist_is_told_with_its_repeats(study: optuna.Study, config: Config) -> None:
    named = Finalist(2, 0.8, (Score(6, 0, 0.7), Score(7, 1, 0.8)))
    study.set_user_attr(FINALISTS, [named.to_json()])
    study.set_user_attr(WINNER, 2)
    first, second = json.loads(json.dumps(best_rows(study, config, 2)))
    assert (first["number"], first["value"]) == (2, 0.8)
    assert first["repeats"] == {
        "mean": 0.75,
        "std": pytest.approx(0.0707, abs=1e-4),
        "n": 2,
        "scores": [
            {"seed": 6, "fold": 0, "dice": 0.7},
            {"seed": 7, "fold": 1, "dice": 0.8},
        ],
    }
    assert second["repeats"] is None


def test_the_model_stands_beside_the_winner_once_it_is_there(
    study: optuna.Study, config: Config, tmp_path: Path
) -> None:
    study.set_user_attr(WINNER, 3)
    assert {row["model"] for row in best_rows(study, config, 10)} == {None}
    model_folder(config).mkdir(parents=True)
    (model_folder(config) / "model.json").write_text("{}")
    rows = best_rows(study, config, 10)
    assert rows[0]["model"] == str(tmp_path / "mito" / "model")
    assert {row["model"] for row in rows[1:]} == {None}


def test_the_winner_has_what_follows_its_network_as_the_card_has_it(
    study: optuna.Study, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.set_user_attr(WINNER, 3)
    model_folder(config).mkdir(parents=True)
    (model_folder(config) / "model.json").touch()
    after = {"views": 8, "z_median_sections": 3, "smallest_object_voxels": 27, "windows": None}
    scores = {"dice": 0.91, "by_volume": {"old": {"dice": 0.95}, "new": {"dice": 0.85}}}
    card = {"threshold": 0.37, "postprocessing": after, "validation": scores, "seed": 5}
    monkeypatch.setattr(results, "load_card", lambda folder: card)
    winner, other = best_rows(study, config, 2)
    told = ("threshold", "postprocessing", "validation")
    assert [winner[key] for key in told] == [0.37, after, scores]
    assert [other[key] for key in told] == [None, None, None]
    # The trial's own stay what they were.
    assert winner["user_attrs"] == {"threshold": 0.4}


def test_the_rows_of_two_objectives_tell_how_many_the_front_has(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = optuna.create_study(directions=["maximize", "minimize"])
    for size in range(7):
        trial = two.ask()
        two._storage.set_trial_intermediate_value(trial._trial_id, 2, 0.5)
        trial.set_user_attr("threshold", 0.4)
        two.tell(trial, (0.5 + size / 100, 10 + size))
    assert [row["front"] for row in best_rows(two, config, 5)] == [7] * 5


def test_a_study_without_trials_has_no_best(config: Config) -> None:
    assert best_rows(optuna.create_study(), config, 5) == []


def test_the_status_tells_every_trial_and_why_it_ended(study: optuna.Study) -> None:
    row = json.loads(json.dumps(status_row(study, Budget(trials=9), NO_LOGS)))
    assert row["study"] == "mito"
    counts = {"RUNNING": 0, "COMPLETE": 4, "PRUNED": 1, "FAIL": 1, "WAITING": 1}
    assert row["counts"] == counts
    assert [trial["number"] for trial in row["trials"]] == list(range(7))
    assert row["trials"][1]["value"] == 0.9
    assert row["trials"][4]["reason"] == "stopped by the pruner after 1 of 2 epochs"
    assert row["trials"][5]["reason"] == "the worker was lost; goes on as trial 6"
    assert row["trials"][6]["user_attrs"] == {"retried_from": 5, "attempt": 1}
    assert [trial["epochs"] for trial in row["trials"]] == [2, 2, 2, 2, 1, 1, 0]


def test_the_status_tells_what_the_budget_has_paid_for(study: optuna.Study) -> None:
    study.set_user_attr(SECONDS_SPENT, 1800.0)
    study.set_user_attr(DEVICE_SECONDS_SPENT, 5400.0)
    budget = Budget(trials=9, hours=2, price_per_device_hour=2.0)
    assert status_row(study, budget, NO_LOGS)["budget"] == {
        "trials": 9,
        "epochs": None,
        "hours": 2,
        "device_hours": None,
        "money": None,
        "price_per_device_hour": 2.0,
        "device_hours_spent": 1.5,
        "money_spent": 3.0,
        "trials_begun": 6,
        "epochs_trained": 10,
        "hours_spent": 0.5,
    }
