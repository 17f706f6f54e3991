"""A whole search with repeats of its finalists, that trains nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from fake_workers import FakeWorkers
from small_config import build_config

from search import run, trial_model, winner_model
from search.assignment import Assignment, Failure, Task
from search.config import Config
from search.results import ranked
from search.run import Result, SearchRun
from search.study import find_finalists, find_study
from storage.checkpoints import CheckpointStore
from trainer.device import Device
from trainer.hyperparameters import Hyperparameters
from trainer.metrics import Scores
from trainer.model import Model
from trainer.postprocess import Judge, Tuned

Script = Mapping[tuple[int, int], Failure | type[BaseException]]


@dataclass
class Scene:
    """A search whose best trial was lucky: repeated, it is worse than all others.

    Attributes:
        config: Of the search.
        scripts: What goes wrong, by the folder of the checkpoints.
        workers: All that ran, by the same, in their order.
        cards: Of the models that were made.
        judged: The blocks that models were tuned on.
        lucky: The learning rate of the search's best trial.
    """

    config: Config
    scripts: dict[str, Script] = field(default_factory=dict)
    workers: list[tuple[str, FakeWorkers]] = field(default_factory=list)
    cards: list[dict[str, Any]] = field(default_factory=list)
    judged: list[list[tuple[int, range]]] = field(default_factory=list)
    lucky: float = 0.0

    def build_workers(self, task: Task, *, runner: type) -> FakeWorkers:
        stage = task.checkpoints.name
        if stage == "repeats":
            self.lucky = ranked(self.study, self.config)[0].params["learning_rate"]
        store, script = CheckpointStore(task.checkpoints), self.scripts.get(stage, {})
        workers = FakeWorkers(store, slots=2, script=script, luck=self.luck, facts=size)
        self.workers.append((stage, workers))
        return workers

    def luck(self, assignment: Assignment) -> float:
        """Of a repeat: nothing for the trial that was the best in the search."""
        if assignment.seed == self.config.study.seed:
            return 0.0
        lucky = assignment.hyperparameters.learning_rate == self.lucky
        return -0.5 if lucky else 0.001 * (assignment.seed + 10 * assignment.fold)

    def build_model(
        self, hyperparameters: Any, _: Any, *, threshold: float, card: dict[str, Any]
    ) -> Model:
        return Model(None, hyperparameters, threshold, card)

    def tune(self, model: Model, judges: list[Judge], *, threshold: float | None) -> Tuned:
        self.judged.append([(judge.model.card["seed"], judge.sections) for judge in judges])
        scores = Scores(0.5, 0.5, 0.5, 0.5, threshold or 0.5, 9)
        by_volume = {judge.name: scores for judge in judges}
        return Tuned(replace(model, smallest_object_voxels=7), scores, by_volume)

    def save_model(self, model: Model, folder: Path) -> None:
        self.cards.append({**model.card, "smallest": model.smallest_object_voxels})
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.json").write_text("model")

    def run(self, **sections: dict[str, Any]) -> Result:
        for name, changes in sections.items():
            section = getattr(self.config, name).model_copy(update=changes)
            self.config = self.config.model_copy(update={name: section})
        return SearchRun(self.config).run()

    def trained(self, stage: str) -> list[tuple[int, int]]:
        """(trial, epoch) of a stage, over all runs."""
        return [each for name, workers in self.workers if name == stage for each in workers.trained]

    def begun(self, stage: str) -> list[Assignment]:
        return [each for name, workers in self.workers if name == stage for each in workers.begun]

    @property
    def study(self) -> optuna.Study:
        return find_study(self.config)

    @property
    def repeated(self) -> optuna.Study:
        study = find_finalists(self.config, self.study)
        assert study is not None
        return study


def size(run: Hyperparameters, epoch: int) -> dict[str, float]:
    """What a study with a second objective asks for; here the best network is the smallest."""
    return {"parameters": 1000 * abs(math.log10(run.learning_rate) + 3)}


def build_scene(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The scene in a folder, with its own parts in the place of all that would train.

    Args:
        folder: For the runs.
        monkeypatch: Of the test.
    """
    repeats = {"count": 3, "seeds": 1, "folds": 2}
    config = build_config(
        folder, finalists=repeats, study={"pruner": "none", "keep": 1}, final={"epochs": 5}
    )
    scene = Scene(config)
    monkeypatch.setattr(run, "InlineWorkers", scene.build_workers)
    for module in (trial_model, winner_model):
        monkeypatch.setattr(module, "configure_device", lambda: Device("cpu", "", "float32", 0))
    monkeypatch.setattr(winner_model, "in_precision", lambda model, precision: model)
    monkeypatch.setattr(trial_model, "build_model", scene.build_model)
    monkeypatch.setattr(winner_model, "save_model", scene.save_model)
    monkeypatch.setattr(winner_model, "tune", scene.tune)
    return scene
