from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from fake_workers import FakeWorkers
from small_config import build_config

from search import run, trial_model, winner_model
from search.assignment import Failure, Task
from search.config import Config
from search.results import WINNER, model_folder
from search.run import Result, SearchRun
from search.study import find_study
from search.terms import Ending
from storage.checkpoints import CheckpointStore
from storage.database import database_from_environment
from storage.errors import StudyLocked
from storage.lock import StudyLock
from trainer.device import Device
from trainer.errors import InputError
from trainer.metrics import Scores
from trainer.model import Model
from trainer.postprocess import Judge, Tuned

Script = Mapping[tuple[int, int], Failure]
BROKEN = Failure("error", "OSError: the disk is gone")


@dataclass
class Scene:
    """A search that trains nothing, by a script for its trials and one for its final training."""

    config: Config
    trials: Script = field(default_factory=dict)
    final: Script = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    cards: list[dict[str, Any]] = field(default_factory=list)
    workers: list[FakeWorkers] = field(default_factory=list)
    averaged: list[int] = field(default_factory=list)

    def build_workers(self, task: Task, *, runner: type) -> FakeWorkers:
        script = self.final if task.checkpoints.name == "finalists" else self.trials
        self.workers.append(FakeWorkers(CheckpointStore(task.checkpoints), script=script))
        return self.workers[-1]

    def build_model(
        self, hyperparameters: Any, _: Any, *, threshold: float, card: dict[str, Any]
    ) -> Model:
        return Model(None, hyperparameters, threshold, card)

    def combine(self, models: Sequence[Model]) -> Model:
        self.averaged.append(len(models))
        return models[0]

    def save_model(self, model: Model, folder: Path) -> None:
        self.cards.append({**model.card, "threshold": model.threshold, "z_median": model.z_median})
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.json").write_text("model")

    def run(self) -> Result:
        return SearchRun(self.config, announce=self.said.append).run()

    @property
    def study(self) -> optuna.Study:
        return find_study(self.config)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closing_storages: None) -> Scene:
    scene = Scene(build_config(tmp_path, final={"epochs": 5, "train_on": "all"}))
    monkeypatch.setattr(run, "InlineWorkers", scene.build_workers)
    for module in (trial_model, winner_model):
        monkeypatch.setattr(module, "configure_device", lambda: Device("cpu", "", "float32", 0))
    monkeypatch.setattr(winner_model, "in_precision", lambda model, precision: model)
    monkeypatch.setattr(trial_model, "build_model", scene.build_model)
    monkeypatch.setattr(winner_model, "save_model", scene.save_model)
    monkeypatch.setattr(winner_model, "combine", scene.combine)
    monkeypatch.setattr(winner_model, "tune", _tune)
    return scene


def _tune(model: Model, judges: list[Judge], *, threshold: float | None) -> Tuned:
    """Tells by its Dice which model was asked to judge: by the epochs that it was trained."""
    chosen = 0.25 if threshold is None else threshold
    scores = Scores(judges[0].model.card["epochs"] / 10, 0.5, 0.5, 0.5, chosen, 9)
    by_volume = {judge.name: scores for judge in judges}
    return Tuned(replace(model, threshold=chosen, z_median=5), scores, by_volume)


@pytest.mark.parametrize(("train_on", "judge"), [("all", 0.3), ("train", 0.5)])
def test_sections_that_were_trained_on_do_not_judge_the_model(
    scene: Scene, train_on: str, judge: float
) -> None:
    """Nor does another model's threshold become its own."""
    scene.config = build_config(scene.config.study.runs, final={"epochs": 5, "train_on": train_on})
    scene.run()
    (card,) = scene.cards
    assert (card["epochs"], card["z_median"]) == (5, 5)
    assert card["threshold"] == (0.5 if train_on == "all" else 0.25)
    assert card["validation"]["dice"] == judge
    assert ("the search's" in card["validation"]["of"]) == (train_on == "all")


def test_a_search_ends_with_the_model_of_its_best_trial(scene: Scene) -> None:
    result = scene.run()
    assert result.ending == Ending("done", "every trial of the budget has ended")
    assert result.winner is not None
    assert result.winner.value == max(trial.value or 0 for trial in scene.study.trials)
    assert scene.study.user_attrs[WINNER] == result.winner.number
    assert result.model == model_folder(scene.config)
    (card,) = scene.cards
    assert (card["trial"], card["epochs"], card["train_on"]) == (result.winner.number, 5, "all")
    assert result.unseen is not None
    assert result.unseen.raw.is_file()
    assert result.unseen.mask.is_file()
    assert result.unseen.sections is None


def test_the_data_are_announced_once_nothing_is_refused_any_more(scene: Scene) -> None:
    with StudyLock(database_from_environment(scene.config.study.runs), "mito"):
        with pytest.raises(StudyLocked):
            scene.run()
        assert scene.said == []
    scene.run()
    assert scene.said[0].startswith("volume: 12 sections of 32 x 32")


def test_a_failed_final_training_leaves_the_searchs_own_model_and_says_why(scene: Scene) -> None:
    scene.final = {(0, 2): Failure("diverged", "the loss became nan in epoch 2")}
    result = scene.run()
    assert result.ending.kind == "failed"
    assert result.ending.reason == (
        "the final training failed: seed 5: the loss became nan in epoch 2; the model is the "
        "search's own; run it again"
    )
    assert result.model is not None
    assert (result.model / "model.json").is_file()
    assert result.winner is not None
    assert scene.study.user_attrs[WINNER] == result.winner.number
    (card,) = scene.cards
    assert (card["trial"], card["epochs"], card["train_on"]) == (result.winner.number, 3, "train")


@pytest.mark.parametrize("train_on", ["all", "train"])
def test_a_model_of_several_seeds_is_their_mean(scene: Scene, train_on: str) -> None:
    final = {"epochs": 5, "train_on": train_on, "seeds": 3}
    scene.config = build_config(scene.config.study.runs, final=final)
    result = scene.run()
    assert result.ending.kind == "done"
    assert scene.averaged == [3]
    (card,) = scene.cards
    assert (card["trial"], card["seed"]) == (result.winner and result.winner.number, [5, 6, 7])
    # What none of them has seen judges the mean itself.
    assert card["validation"]["dice"] == (0.3 if train_on == "all" else 0.5)


def test_a_seed_that_fails_is_left_out_and_trained_by_the_next_run(scene: Scene) -> None:
    scene.config = build_config(scene.config.study.runs, final={"epochs": 5, "seeds": 3})
    scene.final = {(1, 2): BROKEN}
    result = scene.run()
    assert result.ending.kind == "failed"
    assert result.ending.reason.endswith(
        "seed 6: OSError: the disk is gone; the model is the others'; run it again"
    )
    assert scene.run().ending.kind == "done"
    assert [card["seed"] for card in scene.cards] == [[5, 7], [5, 6, 7]]


def test_the_next_run_trains_it_again(scene: Scene) -> None:
    scene.final = {(0, 2): BROKEN}
    scene.run()
    result = scene.run()
    assert result.ending.kind == "done"
    assert [card["epochs"] for card in scene.cards] == [3, 5]
    assert scene.workers[-2].begun == []


def test_a_search_that_fails_has_no_model(scene: Scene) -> None:
    scene.trials = {(number, 1): BROKEN for number in range(4)}
    result = scene.run()
    assert result.ending == Ending("failed", f"3 trials in a row failed: {BROKEN.reason}")
    assert (result.winner, result.model, scene.cards) == (None, None, [])


def test_a_search_whose_trials_all_diverged_has_no_winner(scene: Scene) -> None:
    nan = Failure("diverged", "the loss became nan")
    scene.trials = {(number, 1): nan for number in range(4)}
    result = scene.run()
    assert result.ending.kind == "failed"
    assert "no trial has finished" in result.ending.reason


def test_a_winner_told_from_outside_is_none(scene: Scene) -> None:
    first = scene.run().winner
    assert first is not None
    other = scene.study
    other.tell(other.ask(), 0.999)
    again = scene.run().winner
    assert again is not None
    assert again.number == first.number


def test_a_lock_that_is_lost_ends_the_run_without_a_model(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(lock: StudyLock) -> None:
        raise StudyLocked("study 'mito' is already run by process 7 on node-3")

    with monkeypatch.context() as patch:
        patch.setattr(StudyLock, "keep", lose)
        result = scene.run()
    assert result.ending == Ending("failed", "study 'mito' is already run by process 7 on node-3")
    assert scene.cards == []
    assert scene.workers[0].held == {}, "its workers were not closed"
    assert scene.run().ending.kind == "done"


def test_a_lock_that_is_lost_in_the_final_training_leaves_the_others_model_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(lock: StudyLock) -> None:
        if len(scene.workers) > 1:
            raise StudyLocked("study 'mito' is already run by process 7 on node-3")

    monkeypatch.setattr(StudyLock, "keep", lose)
    result = scene.run()
    assert result.ending == Ending("failed", "study 'mito' is already run by process 7 on node-3")
    assert (result.model, scene.cards) == (None, [])


def test_a_study_of_this_name_in_another_database_keeps_its_checkpoints(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.run()
    kept = CheckpointStore(scene.config.checkpoints).trials()
    assert kept
    monkeypatch.setenv("UNET_SEARCH_DATABASE_URL", f"sqlite:///{tmp_path}/other.db")
    with pytest.raises(InputError, match="which needs its checkpoints"):
        scene.run()
    assert CheckpointStore(scene.config.checkpoints).trials() == kept
    monkeypatch.delenv("UNET_SEARCH_DATABASE_URL")
    assert scene.run().ending.kind == "done"


def test_a_model_folder_that_holds_something_else_is_refused_before_the_search(
    scene: Scene,
) -> None:
    (scene.config.folder / "model").mkdir(parents=True)
    (scene.config.folder / "model" / "notes.txt").touch()
    with pytest.raises(InputError, match=r"notes\.txt"):
        scene.run()
    assert scene.workers == []


@pytest.mark.parametrize(("gpus", "share"), [(0.0, 1.0), (0.25, 0.25), (1.0, 1.0), (2.0, 2.0)])
def test_a_worker_is_told_its_share_of_a_gpu(tmp_path: Path, gpus: float, share: float) -> None:
    search = SearchRun(build_config(tmp_path, workers={"gpus_per_trial": gpus}))
    assert search._build_task("mito", tmp_path).gpu_share == share


def test_trials_and_the_model_are_of_the_same_space_for_the_volumes_voxels(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = {
        "dimensions": "3d",
        "tile_sections": 2,
        "depth": {"low": 1, "high": 2},
        "tile_size": 16,
    }
    scene.config = build_config(scene.config.study.runs, space=space, final={"epochs": 5})
    load, begun, built = run.load_data, [], []

    def load_coarse(config: Config) -> Any:
        data = load(config)
        (only,) = data.volumes
        coarse = replace(only.volume, voxel_size_nm=(20.0, 5.0, 5.0))
        return replace(data, volumes=(replace(only, volume=coarse),))

    def build_model(hyperparameters: Any, *arguments: Any, **options: Any) -> Model:
        built.append(hyperparameters.planar_levels)
        return scene.build_model(hyperparameters, *arguments, **options)

    class Watched(FakeWorkers):
        def begin(self, assignment: Any) -> None:
            begun.append(assignment.hyperparameters.planar_levels)
            super().begin(assignment)

    monkeypatch.setattr(run, "load_data", load_coarse)
    monkeypatch.setattr(trial_model, "build_model", build_model)
    monkeypatch.setattr(
        run,
        "InlineWorkers",
        lambda task, *, runner: Watched(CheckpointStore(task.checkpoints), script={}),
    )
    assert scene.run().ending.kind == "done"
    assert len(begun) > 4
    assert {*begun, *built} == {2}
