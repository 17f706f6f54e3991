from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from small_config import build_config

from search import export
from search.export import export_trial
from search.finalists import Source
from search.results import WINNER, model_folder
from trainer.errors import InputError


@pytest.fixture
def config(tmp_path: Path) -> Any:
    return build_config(tmp_path / "runs")


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> optuna.Study:
    """Trials 0 and 1 are finished, 2 is pruned, 3 told from outside; models are dictionaries."""

    def build(source: Source, winner: Any, data: Any) -> dict[str, Any]:
        return {"made from trial": winner.number, "data": data}

    def save(model: dict[str, Any], folder: Path, *, saved_model: bool) -> None:
        folder.mkdir(parents=True)
        (folder / "model.json").write_text(json.dumps({**model, "saved_model": saved_model}))

    def load(folder: Path, *, stock: bool) -> dict[str, Any]:
        return {"loaded from": str(folder), "stock": stock}

    monkeypatch.setattr(export, "build_trial_model", build)
    monkeypatch.setattr(export, "save_model", save)
    monkeypatch.setattr(export, "load_model", load)
    monkeypatch.setattr(export, "configure_device", lambda: None)
    study = optuna.create_study(study_name="mito", direction="maximize")
    study.set_user_attr("defined_by", json.dumps({"data": {"sha256": "abc"}}))
    for value in (0.7, 0.9):
        trial = study.ask()
        trial.report(value, 3)
        trial.set_user_attr("threshold", 0.5)
        study.tell(trial, value)
    study.tell(study.ask(), state=TrialState.PRUNED)
    study.tell(study.ask(), 0.99)
    return study


def write_model(config: Any) -> None:
    model_folder(config).mkdir(parents=True)
    (model_folder(config) / "model.json").write_text("{}")


def test_the_winners_model_is_written_with_its_card(
    config: Any, study: optuna.Study, tmp_path: Path
) -> None:
    study.set_user_attr(WINNER, 1)
    write_model(config)
    card = export_trial(config, study, tmp_path / "out", None)
    assert card == {
        "loaded from": str(model_folder(config)),
        "stock": True,
        "saved_model": True,
        "files": ["model.json"],
    }


def test_without_a_winner_it_is_the_best_so_far(
    config: Any, study: optuna.Study, tmp_path: Path
) -> None:
    card = export_trial(config, study, tmp_path / "out", None)
    assert card["made from trial"] == 1
    assert card["data"] == {"sha256": "abc"}


def test_the_model_of_a_deleted_study_is_not_taken_for_this_ones(
    config: Any, study: optuna.Study, tmp_path: Path
) -> None:
    write_model(config)
    assert export_trial(config, study, tmp_path / "out", None)["made from trial"] == 1


def test_another_trial_is_written_when_it_is_named(
    config: Any, study: optuna.Study, tmp_path: Path
) -> None:
    study.set_user_attr(WINNER, 1)
    write_model(config)
    assert export_trial(config, study, tmp_path / "out", 0)["made from trial"] == 0


def test_the_studys_own_model_is_not_replaced_by_another_trials(
    config: Any, study: optuna.Study
) -> None:
    with pytest.raises(InputError, match=r"^--out: .* another folder"):
        export_trial(config, study, config.folder / "model", 0)


@pytest.mark.parametrize(("number", "state"), [(2, "PRUNED"), (4, "not there"), (-1, "not there")])
def test_only_a_trial_at_full_budget_has_a_model(
    config: Any, study: optuna.Study, tmp_path: Path, number: int, state: str
) -> None:
    with pytest.raises(InputError, match=rf"^--trial: .* {number} is {state}"):
        export_trial(config, study, tmp_path / "out", number)
    assert not (tmp_path / "out").exists()


def test_a_study_without_a_finished_trial_has_nothing_to_export(
    config: Any, study: optuna.Study, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"'empty' has none yet"):
        export_trial(config, optuna.create_study(study_name="empty"), tmp_path / "out", None)
