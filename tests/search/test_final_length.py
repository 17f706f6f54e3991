from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from finalist_scene import Scene, build_scene, size

from search.assignment import Failure
from search.config_sections import FinalConfig
from search.estimate import estimate_hours
from search.final_length import count_final_epochs, count_waves
from search.final_training import open_final
from trainer.hyperparameters import Hyperparameters

BROKEN = Failure("diverged", "the loss became nan in epoch 2")


def trial(**attributes: Any) -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(value=0.9, user_attrs=attributes)


@pytest.mark.parametrize(
    ("final", "seconds", "waves", "epochs"),
    [
        ({"epochs": 70}, [60], 1, 70),
        ({"epochs": 70, "hours": 1.0}, [60], 1, 60),
        ({"epochs": 70, "hours": 1.0}, [40, 80], 1, 60),
        ({"epochs": 70, "hours": 1.0}, [60], 2, 30),
        ({"epochs": 50, "hours": 1.0}, [60], 1, 50),
        ({"epochs": 70, "hours": 0.001}, [60], 1, 1),
        ({"epochs": 70, "hours": 1.0}, [], 1, 70),
    ],
)
def test_as_many_epochs_as_the_hours_have_room_for(
    final: dict[str, Any], seconds: list[float], waves: int, epochs: int
) -> None:
    known = [trial(epoch_seconds=each) for each in seconds] + [trial()]
    assert count_final_epochs(FinalConfig(**final), known, waves) == epochs


def timed(run: Hyperparameters, epoch: int) -> dict[str, float]:
    return {**size(run, epoch), "epoch_seconds": 900.0}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr("finalist_scene.size", timed)
    scene = build_scene(tmp_path, monkeypatch)
    hours = FinalConfig(epochs=20, hours=1.0)
    scene.config = scene.config.model_copy(update={"final": hours})
    return scene


def epochs(scene: Scene) -> list[int]:
    return [assignment.epochs for assignment in scene.begun("finalists")]


def test_the_hours_of_the_config_give_the_length(scene: Scene) -> None:
    assert scene.run().model is not None
    assert epochs(scene) == [4]
    assert len(scene.trained("finalists")) == 4
    assert scene.cards[-1]["epochs"] == 4
    # Run once more, nothing is trained, and nothing that has been is deleted.
    again = scene.run()
    assert again.ending.kind == "done"
    assert epochs(scene) == [4]
    assert scene.cards[-1]["epochs"] == 4


def test_before_one_has_begun_the_length_follows_the_room_there_is(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.run()
    config, study = scene.config, scene.study
    other = next(trial for trial in study.trials if trial.number != scene.cards[-1]["trial"])
    monkeypatch.undo()
    for length in (3, 7):
        final = open_final(config, study._storage, study, other, length)
        (waiting,) = final.get_trials(states=(optuna.trial.TrialState.WAITING,))
        assert waiting.user_attrs["epochs"] == length


def test_what_has_begun_keeps_its_length_though_epochs_are_slower_now(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.scripts["finalists"] = {(6, 2): BROKEN}
    scene.run()
    scene.scripts.clear()
    monkeypatch.setattr("search.run.count_final_epochs", lambda *_: 2)
    scene.run()
    assert epochs(scene) == [4, 4]
    scene.run(final={"hours": 2.0})
    assert epochs(scene) == [4, 4, 2]


def test_seeds_that_come_one_after_the_other_share_the_hours(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.winner_model.combine", lambda models: models[0])
    scene.run(final={"seeds": 2})
    assert epochs(scene) == [2, 2]


@pytest.mark.parametrize(
    ("seeds", "slots", "waves"), [(1, 1, 1), (3, 2, 2), (4, 2, 2), (2, 8, 1), (3, 0, 1)]
)
def test_waves_of_final_trainings(seeds: int, slots: int, waves: int) -> None:
    assert count_waves(FinalConfig(epochs=5, seeds=seeds), slots) == waves


def test_the_estimate_promises_what_the_run_will_do(scene: Scene) -> None:
    assert estimate_hours(scene.config, 3600.0, slots=1)["final"] == 1.0
    assert estimate_hours(scene.config, 36.0, slots=1)["final"] == 0.2
    # As many epochs as a trial's one core has time for, on two cores, which may be no faster.
    hours = estimate_hours(scene.config, 360.0, slots=2)
    assert (hours["final_at_least"], hours["final"]) == (0.5, 1.0)
