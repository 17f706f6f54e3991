"""What a trial's runner keeps, logs and gives up, with a session that trains nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from search.assignment import Assignment, Begun, EpochReport, Failure, Task
from search.runner import TrialRunner
from search.study_volume import StudyVolume
from search.trial_log import read_log_tail
from storage.artifacts import ArtifactFolder
from trainer.device import Device
from trainer.hyperparameters import Hyperparameters
from trainer.split import fold_sections, split_sections
from trainer.volume import Volume


class Session:
    """Goes through what a test has planned, an epoch at a time."""

    plan: list[str | Exception | None]
    by_volume: ClassVar[dict[str, float]] = {"volume 1": 0.5}
    opened: ClassVar[list[Any]] = []

    def __init__(self, volumes: Any, *arguments: Any, **options: Any) -> None:
        self.opened.append(volumes)
        self.epoch, self.parameters = 0, 100
        self.validation_voxels = 4 * 64

    def advance(self) -> Any:
        planned = self.plan[self.epoch]
        if isinstance(planned, Exception):
            raise planned
        self.epoch += 1
        scores = SimpleNamespace(dice=self.epoch / 10, threshold=0.5, precision=0.5, recall=0.5)
        return SimpleNamespace(
            epoch=self.epoch,
            loss=0.5,
            train_dice=0.25,
            validation_loss=0.75,
            scores=scores,
            collapsed_to=planned,
            seconds=1.0,
            dice_by_volume=self.by_volume,
            training_seconds=0.5,
            validation_seconds=0.25,
        )

    def state(self) -> dict[str, np.ndarray]:
        return {"epoch": np.asarray(self.epoch)}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.epoch = int(arrays["epoch"])

    def close(self) -> None:
        pass


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., TrialRunner]:
    def build_runner(*plan: str | Exception | None) -> TrialRunner:
        Session.plan = list(plan)
        Session.opened.clear()
        return TrialRunner(task)

    module = ModuleType("trainer.session")
    module.__dict__.update(TrainingSession=Session, TrainingPlan=lambda **options: None)
    monkeypatch.setitem(sys.modules, "trainer.session", module)
    monkeypatch.setattr(
        "search.runner.configure_device",
        lambda threads, gpu_share: Device("2 CPU cores", "cpu", "float32"),
    )
    raw = np.zeros((20, 8, 8), np.uint8)
    volume = StudyVolume(Volume(raw, raw, None, ()), split_sections(20, gap=1))
    task = Task((volume,), tmp_path / "trials", 1, study="mito", logs=tmp_path / "logs")
    return build_runner


def _assignment(trial: int = 0) -> Assignment:
    return Assignment(trial, Hyperparameters(), 9, 1, "train", 0)


def test_a_repeat_is_trained_and_judged_by_its_fold(
    build: Callable[..., TrialRunner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[Any] = []
    build()
    monkeypatch.setattr(
        sys.modules["trainer.session"], "TrainingPlan", lambda **options: plans.append(options)
    )
    raw, split = np.zeros((20, 8, 8), np.uint8), split_sections(20, gap=1)
    first, second, third = fold_sections(split, 3)
    volume = StudyVolume(Volume(raw, raw, None, ()), first, (second, third))
    for fold in (0, 2):
        runner = TrialRunner(Task((volume,), tmp_path, 1))
        runner.begin(replace(_assignment(), fold=fold, seed=10 + fold))
    known = [
        (volumes[0].train, volumes[0].validation, plan["seed"])
        for volumes, plan in zip(Session.opened, plans, strict=True)
    ]
    assert known == [
        (first.train, first.validation, 10),
        (third.train, third.validation, 12),
    ]


def _advance(runner: TrialRunner, times: int) -> EpochReport | Failure:
    outcomes = [runner.advance() for _ in range(times)]
    return outcomes[-1]


def test_the_time_of_prediction_is_that_of_the_validation_sections(
    build: Callable[..., TrialRunner],
) -> None:
    runner = build(None)
    runner.begin(_assignment())
    report = _advance(runner, 1)
    assert isinstance(report, EpochReport)
    # A quarter of a second for 4 sections of 8 x 8 voxels.
    assert report.facts["prediction_seconds_per_megavoxel"] == pytest.approx(0.25e6 / 256)


def test_three_collapsed_epochs_in_a_row_end_a_trial(build: Callable[..., TrialRunner]) -> None:
    runner = build("background", "background", None, "background", "background", "background")
    runner.begin(_assignment())
    assert isinstance(_advance(runner, 5), EpochReport)
    failure = runner.advance()
    assert isinstance(failure, Failure)
    assert failure.kind == "diverged"
    assert failure.reason.startswith("collapsed to background for 3 epochs")


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_short_trial_that_collapsed_ends_with_that_as_a_fact(
    build: Callable[..., TrialRunner], epochs: int
) -> None:
    runner = build(*["foreground"] * epochs)
    runner.begin(replace(_assignment(), epochs=epochs))
    report = _advance(runner, epochs)
    assert isinstance(report, EpochReport)
    assert report.facts["collapsed_to"] == "foreground"


def test_a_trial_that_has_learned_after_all_is_told_no_collapse(
    build: Callable[..., TrialRunner],
) -> None:
    runner = build("background", "background", None)
    runner.begin(_assignment())
    report = _advance(runner, 3)
    assert isinstance(report, EpochReport)
    assert "collapsed_to" not in report.facts


def test_collapsed_epochs_are_counted_across_a_restart(
    build: Callable[..., TrialRunner],
) -> None:
    runner = build("foreground", "foreground", "foreground")
    runner.begin(_assignment())
    _advance(runner, 2)
    other = build("foreground", "foreground", "foreground")
    begun = other.begin(_assignment())
    assert isinstance(begun, Begun)
    assert begun.last is not None
    assert (begun.last.epoch, begun.last.history) == (2, (0.1, 0.2))
    assert isinstance(other.advance(), Failure)


def test_a_restored_epoch_reports_what_was_reported(build: Callable[..., TrialRunner]) -> None:
    runner = build(None, None)
    runner.begin(_assignment())
    reported = runner.advance()
    begun = build(None, None).begin(_assignment())
    assert begun == Begun(reported)  # type: ignore[arg-type]


def test_the_log_tells_the_trial_from_its_beginning_to_its_end(
    build: Callable[..., TrialRunner], tmp_path: Path
) -> None:
    runner = build(None, None, ZeroDivisionError("by zero"))
    runner.begin(_assignment())
    _advance(runner, 2)
    runner.begin(_assignment(1))
    runner.begin(_assignment(0))
    assert isinstance(runner.advance(), Failure)
    runner.close()
    lines = read_log_tail(tmp_path / "logs", 0, lines=99)
    assert all(" mito trial 0 epoch " in line for line in lines)
    text = [line.split(": ", 1)[1] for line in lines]
    assert text[0].startswith("begun: optimizer=adam, learning_rate=0.001")
    assert text[0].endswith("device=2 CPU cores, precision=float32")
    assert text[1] == "Dice 0.1000, loss 0.5000, precision 0.5000, recall 0.5000, 1.0 s"
    assert text[3] == "released at 2 of 9 epochs"
    assert text[5] == "checkpoint restored from epoch 2"
    assert text[6] == "failed (error): ZeroDivisionError: by zero"
    assert text[7] == "Traceback (most recent call last):"
    assert text[-1] == "ZeroDivisionError: by zero"


def test_logs_that_cannot_be_written_fail_no_trial(
    build: Callable[..., TrialRunner], tmp_path: Path
) -> None:
    (tmp_path / "logs").touch()
    runner = build(None)
    assert runner.begin(_assignment()) == Begun(None)
    assert isinstance(runner.advance(), EpochReport)


@pytest.mark.parametrize("error", [MemoryError("no room"), ValueError("a section of no size")])
def test_a_picture_that_cannot_be_drawn_fails_no_trial(
    build: Callable[..., TrialRunner],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def draw(session: Session, threshold: float) -> np.ndarray:
        raise error

    monkeypatch.setattr(Session, "draw_example", draw, raising=False)
    runner = build(None)
    runner._artifacts = ArtifactFolder(tmp_path / "artifacts")
    assert isinstance(runner.begin(_assignment()), Begun)
    assert isinstance(runner.advance(), EpochReport)
    assert str(error) in read_log_tail(tmp_path / "logs", 0, lines=1)[0]


def test_the_section_and_the_event_file_of_an_epoch_are_written(
    build: Callable[..., TrialRunner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gray = np.full((4, 6, 3), 128, np.uint8)
    monkeypatch.setattr(Session, "draw_example", lambda self, threshold: gray, raising=False)
    runner = build(None, None)
    artifacts = ArtifactFolder(tmp_path / "artifacts")
    runner._artifacts = artifacts
    runner._task = replace(runner._task, tensorboard=tmp_path / "events")
    runner.begin(_assignment(12))
    runner.advance()
    runner.close()
    assert artifacts.path("mito", 12, "section.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((tmp_path / "events" / "00012").iterdir())) == 1


def test_a_network_that_cannot_fit_is_refused_before_it_is_built(
    build: Callable[..., TrialRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    _assert_refused(build(None), monkeypatch, Device("2 CPU cores", "cpu", "float32"))


def test_a_network_that_cannot_fit_a_share_of_a_gpu_is_refused(
    build: Callable[..., TrialRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = []
    gpu = Device("Made Up", "gpu", "mixed_float16", 1, memory_bytes=10**9)

    def configure(threads: int, *, gpu_share: float) -> Device:
        shares.append(gpu_share)
        return gpu

    runner = build(None)
    monkeypatch.setattr("search.runner.configure_device", configure)
    runner._task = replace(runner._task, gpu_share=0.25, memory_bytes=10**12)
    _assert_refused(runner, monkeypatch, gpu)
    assert shares == [0.25]


def test_where_nobody_knows_the_gpus_memory_the_network_is_tried(
    build: Callable[..., TrialRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = build(None)
    gpu = Device("Made Up", "gpu", "mixed_float16", 1)
    monkeypatch.setattr("search.runner.configure_device", lambda threads, gpu_share: gpu)
    large = Hyperparameters(batch_size=64, filters=256)
    assert runner.begin(Assignment(0, large, 9, 1, "train", 0)) == Begun(None)


def test_what_an_epoch_brought_is_kept_by_name(build: Callable[..., TrialRunner]) -> None:
    runner = build(None)
    runner.begin(_assignment())
    report = runner.advance()
    assert isinstance(report, EpochReport)
    assert (report.facts["train_dice"], report.facts["validation_loss"]) == (0.25, 0.75)


def _assert_refused(runner: TrialRunner, monkeypatch: pytest.MonkeyPatch, device: Device) -> None:
    if device.kind == "cpu":
        monkeypatch.setattr("search.runner.room_bytes", lambda limit, device: 10**9)
    large = Hyperparameters(batch_size=64, filters=256)
    refused = runner.begin(Assignment(0, large, 9, 1, "train", 0))
    assert isinstance(refused, Failure)
    assert refused.kind == "memory"
    assert refused.reason.startswith("a step needs at least ")
    small = Hyperparameters(batch_size=1, filters=4, tile_size=64)
    assert runner.begin(Assignment(1, small, 9, 1, "train", 0)) == Begun(None)


class Earlier:
    """A model to go on from, whose weights are asked for once."""

    sha256, folder = "ab12", Path("old/model")

    def __init__(self) -> None:
        self.asked = 0

    def fits(self, hyperparameters: Hyperparameters) -> bool:
        return hyperparameters.depth == 5

    def weights(self) -> dict[str, np.ndarray]:
        self.asked += 1
        return {"logits/kernel": np.ones(3)}


def test_a_trial_of_the_same_network_begins_with_the_weights_of_the_earlier_model(
    build: Callable[..., TrialRunner], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taken: list[Any] = []
    monkeypatch.setattr(
        Session, "begin_with", lambda self, weights: taken.append(weights), raising=False
    )
    earlier: Any = Earlier()
    runner = build(None, None)
    runner._task = replace(runner._task, earlier=earlier)
    for trial in (0, 1):
        runner.begin(_assignment(trial))
        report = runner.advance()
        assert isinstance(report, EpochReport)
        assert report.facts["started_from"] == "ab12"
    runner.begin(Assignment(2, Hyperparameters(depth=4), 9, 1, "train", 0))
    other = runner.advance()
    assert isinstance(other, EpochReport)
    assert "started_from" not in other.facts
    assert (len(taken), earlier.asked) == (2, 1)
    # A checkpoint of the trial's own goes before.
    runner.begin(_assignment(0))
    again = runner.advance()
    assert isinstance(again, EpochReport)
    assert (again.epoch, again.facts["started_from"], len(taken)) == (2, "ab12", 2)
    assert "weights taken from old/model" in read_log_tail(tmp_path / "logs", 1, lines=9)[1]


def test_dice_of_each_volume_is_kept_where_there_are_several(
    build: Callable[..., TrialRunner], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runner = build(None, None)
    runner.begin(_assignment())
    alone = runner.advance()
    assert isinstance(alone, EpochReport)
    assert "dice_by_volume" not in alone.facts
    monkeypatch.setattr(Session, "by_volume", {"old": 0.75, "new": 0.25})
    both = runner.advance()
    assert isinstance(both, EpochReport)
    assert both.facts["dice_by_volume"] == {"old": 0.75, "new": 0.25}
    (line,) = read_log_tail(tmp_path / "logs", 0, lines=1)
    assert line.endswith("; Dice of old 0.7500, new 0.2500")


def test_an_event_file_has_a_curve_for_each_volume(
    build: Callable[..., TrialRunner], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gray, written = np.zeros((4, 6, 3), np.uint8), []
    monkeypatch.setattr(Session, "draw_example", lambda self, threshold: gray, raising=False)
    monkeypatch.setattr(Session, "by_volume", {"old": 0.75, "new": 0.25})
    monkeypatch.setattr(
        "search.event_file.EventFile.write",
        lambda self, epoch, scores, picture: written.append(scores),
    )
    runner = build(None)
    runner._artifacts = ArtifactFolder(tmp_path / "artifacts")
    runner._task = replace(runner._task, tensorboard=tmp_path / "events")
    runner.begin(_assignment())
    runner.advance()
    runner.close()
    (scores,) = written
    assert (scores["dice/old"], scores["dice/new"], scores["dice"]) == (0.75, 0.25, 0.1)
    assert all(isinstance(value, float | int) for value in scores.values())
