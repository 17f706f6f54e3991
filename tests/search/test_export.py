from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from small_config import build_config

from search import export
from search.data import StudyData
from search.export import export_trial
from search.results import WINNER, model_folder
from search.study import described_data
from search.study_volume import StudyVolume
from search.trial_model import Source
from storage.checkpoints import Checkpoint, CheckpointStore
from trainer.device import Device
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.metrics import Scores
from trainer.model import Model
from trainer.postprocess import Judge, Tuned
from trainer.split import Split
from trainer.volume import Volume

VOLUME = Volume(np.zeros((12, 4, 4), np.uint8), np.zeros((12, 4, 4), np.uint8), None)
SPLIT = Split(range(8), range(8, 12), None, 0, range(12))
DATA = StudyData((StudyVolume(VOLUME, SPLIT, (), "volume 1"),))


def model_of(**card: Any) -> Model:
    return Model(None, Hyperparameters(depth=1, tile_size=32), 0.5, card)


@pytest.fixture
def config(tmp_path: Path) -> Any:
    return build_config(tmp_path / "runs")


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> optuna.Study:
    """Trials 0 and 1 are finished, 2 is pruned, 3 told from outside; models are their cards."""

    def build(source: Source, winner: Any, data: Any) -> Model:
        return model_of(made=winner.number, data=data, trial=winner.number)

    def write(model: Model, folder: Path, gray: Any, publication: Any, *, name: str) -> Any:
        folder.mkdir(parents=True)
        (folder / "model.json").write_text("{}")
        written = {"members": len(model.members), "threshold": model.threshold}
        return {**model.card, **written, "publication": publication.name, "name": name}

    def load(folder: Path, *, stock: bool) -> Model:
        return model_of(made=str(folder), stock=stock)

    monkeypatch.setattr(export, "build_trial_model", build)
    monkeypatch.setattr(export, "export_model", write)
    monkeypatch.setattr(export, "load_model", load)
    monkeypatch.setattr(export, "cut_specimen", lambda model, volume, sections: volume.raw)
    monkeypatch.setattr(export, "load_data", lambda config: DATA)
    monkeypatch.setattr(export, "configure_device", lambda: None)
    study = optuna.create_study(study_name="mito", direction="maximize")
    study.set_user_attr("defined_by", json.dumps({"data": DATA.to_json()}))
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
    assert card["made"] == str(model_folder(config))
    assert card["stock"]
    assert card["files"] == ["model.json"]
    assert (card["name"], card["publication"]) == ("mito", "U-Net mito")


def test_without_a_winner_it_is_the_best_so_far(
    config: Any, study: optuna.Study, tmp_path: Path
) -> None:
    card = export_trial(config, study, tmp_path / "out", None)
    assert card["made"] == 1
    assert card["data"]["sha256"] == VOLUME.sha256


def test_the_model_of_a_deleted_study_is_not_taken_for_this_ones(
    config: Any, study: optuna.Study, tmp_path: Path
) -> None:
    write_model(config)
    assert export_trial(config, study, tmp_path / "out", None)["made"] == 1


def test_another_trial_is_written_when_it_is_named(
    config: Any, study: optuna.Study, tmp_path: Path
) -> None:
    study.set_user_attr(WINNER, 1)
    write_model(config)
    assert export_trial(config, study, tmp_path / "out", 0)["made"] == 0


def test_the_studys_own_model_is_not_replaced_by_another_trials(
    config: Any, study: optuna.Study
) -> None:
    with pytest.raises(InputError, match=r"^--out: .* another folder"):
        export_trial(config, study, config.folder / "model", 0)


def test_a_trial_is_not_built_as_another_network(
    config: Any, study: optuna.Study, tmp_path: Path
) -> None:
    data = described_data(study)
    known = {"data": data, "space": {**config.build_space().to_json(), "depth": 3}}
    study.set_user_attr("defined_by", json.dumps(known))
    with pytest.raises(InputError, match=r"exists with space\.depth = 3, the config has 2"):
        export_trial(config, study, tmp_path / "out", 0)
    known["space"] = config.build_space().to_json()
    study.set_user_attr("defined_by", json.dumps(known))
    assert export_trial(config, study, tmp_path / "out", 0)["trial"] == 0


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


def test_what_wrote_the_files_and_the_best_are_told(
    config: Any, study: optuna.Study, tmp_path: Path
) -> None:
    card = export_trial(config, study, tmp_path / "out")
    assert {"python", "tf2onnx", "onnx"} <= set(card["exported_with"])
    assert [(row["number"], row["value"]) for row in card["finalists"]] == [(1, 0.9), (0, 0.7)]


def test_the_best_of_two_objectives_are_told_by_their_dice(
    config: Any, study: optuna.Study, tmp_path: Path
) -> None:
    two = optuna.create_study(study_name="two", directions=["maximize", "minimize"])
    two.set_user_attr("defined_by", study.user_attrs["defined_by"])
    for values in ((0.7, 10.0), (0.9, 30.0)):
        trial = two.ask()
        # Optuna itself takes no reports of such a study.
        two._storage.set_trial_intermediate_value(trial._trial_id, 3, values[0])
        trial.set_user_attr("threshold", 0.5)
        two.tell(trial, values)
    card = export_trial(config, two, tmp_path / "out")
    assert [(row["number"], row["value"]) for row in card["finalists"]] == [(1, 0.9), (0, 0.7)]


def test_finalists_are_told_as_the_study_keeps_them(
    config: Any, study: optuna.Study, tmp_path: Path
) -> None:
    rows = [{"number": 1, "value": 0.9, "mean": 0.88, "std": 0.01, "n": 3, "scores": []}]
    study.set_user_attr("finalists", rows)
    assert export_trial(config, study, tmp_path / "out")["finalists"] == rows


@pytest.fixture
def combined(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The trials of each ensemble that is made, and its threshold tuned to 0.3."""
    made: list[list[int]] = []

    def combine(models: list[Model]) -> Model:
        made.append([model.card["made"] for model in models])
        return replace(models[0], members=tuple(model.hyperparameters for model in models))

    def tune(model: Model, judges: list[Judge]) -> Tuned:
        assert [judge.sections for judge in judges] == [range(8, 12)]
        scores = Scores(0.95, 0.9, 0.94, 0.96, 0.3, 100)
        return Tuned(replace(model, threshold=0.3), scores, {})

    monkeypatch.setattr(export, "combine", combine)
    monkeypatch.setattr(export, "in_precision", lambda model, precision: model)
    monkeypatch.setattr(export, "tune", tune)
    monkeypatch.setattr(export, "configure_device", lambda: Device("a", "cpu", "float32"))
    return made


def keep(config: Any, *trials: int) -> None:
    store = CheckpointStore(config.folder / "trials")
    for trial in trials:
        store.save(trial, Checkpoint(3, {"w": np.zeros(2)}, {}))


def test_an_ensemble_is_made_of_the_best_and_tuned_as_one(
    config: Any, study: optuna.Study, tmp_path: Path, combined: list[list[int]]
) -> None:
    keep(config, 0, 1)
    card = export_trial(config, study, tmp_path / "out", ensemble=True)
    assert combined == [[1, 0]]
    assert (card["members"], card["threshold"], card["trial"]) == (2, 0.3, [1, 0])
    assert card["validation"]["dice"] == 0.95
    (note,) = card["notes"]
    assert "as the search trained them (trial 1 3 epochs, trial 0 3 epochs) and not of" in note


def test_an_ensemble_is_made_of_the_finalists_first(
    config: Any, study: optuna.Study, tmp_path: Path, combined: list[list[int]]
) -> None:
    keep(config, 0, 1)
    rows = [{"number": 0, "value": 0.7, "mean": 0.8, "std": 0.01, "n": 3, "scores": []}]
    study.set_user_attr("finalists", rows)
    study.set_user_attr(WINNER, 0)
    assert export_trial(config, study, tmp_path / "out", ensemble=True)["trial"] == [0, 1]


def test_the_config_asks_for_an_ensemble_but_a_named_trial_stays_alone(
    study: optuna.Study, tmp_path: Path, combined: list[list[int]]
) -> None:
    config = build_config(tmp_path / "runs", export={"ensemble": 2})
    keep(config, 0, 1)
    export_trial(config, study, tmp_path / "out")
    export_trial(config, study, tmp_path / "other", 0)
    assert combined == [[1, 0]]


def test_an_ensemble_needs_two_checkpoints(
    config: Any, study: optuna.Study, tmp_path: Path, combined: list[list[int]]
) -> None:
    keep(config, 1)
    with pytest.raises(InputError, match=r"^--ensemble: expected 3 trials .* found 1; search on"):
        export_trial(config, study, tmp_path / "out", ensemble=True)


def test_an_ensemble_is_not_tuned_on_other_data(
    config: Any, study: optuna.Study, tmp_path: Path, combined: list[list[int]]
) -> None:
    keep(config, 0, 1)
    study.set_user_attr("defined_by", json.dumps({"data": {"sha256": "other"}}))
    with pytest.raises(
        InputError, match=r"^data: expected the volumes and the split that the study was"
    ):
        export_trial(config, study, tmp_path / "out", ensemble=True)


def test_an_ensemble_is_not_one_trial(config: Any, study: optuna.Study, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--ensemble: expected no --trial"):
        export_trial(config, study, tmp_path / "out", 0, ensemble=True)


def test_a_model_whose_data_are_gone_is_shown_on_a_phantom(
    config: Any, study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []

    def refuse(config: Any) -> StudyData:
        raise InputError("raw.tif: expected a stack, found none")

    monkeypatch.setattr(export, "load_data", refuse)
    monkeypatch.setattr(export, "cut_specimen", lambda *taken: shown.append(taken))
    card = export_trial(config, study, tmp_path / "out")
    ((_, volume, sections),) = shown
    assert volume.raw.shape == (24, 256, 256)
    assert sections == range(24)
    (note,) = card["notes"]
    assert note.endswith(
        "are of a synthetic phantom, as the data cannot be read: raw.tif: expected a stack, found "
        "none"
    )


@pytest.mark.parametrize("several", [False, True])
def test_another_file_at_the_same_path_is_told(
    config: Any, study: optuna.Study, tmp_path: Path, several: bool
) -> None:
    assert export_trial(config, study, tmp_path / "same")["notes"] == []
    data: dict[str, Any] = {"sha256": "0123456789abcdef"}
    known = {"data": {"volumes": [data, DATA.to_json()]} if several else data}
    study.set_user_attr("defined_by", json.dumps(known))
    (note,) = export_trial(config, study, tmp_path / "other")["notes"]
    assert f"another volume than the model's: its SHA-256 is {VOLUME.sha256[:12]}, " in note
    assert note.endswith("that of the study's 0123456789ab")
