"""A trial on a worker: a training session and its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from search.assignment import Assignment, Begun, EpochReport, Failure, Task
from search.exhibits import SECTION
from search.guard import guarded
from search.memory_watch import room_bytes
from search.trial_log import TrialLog
from storage.artifacts import ArtifactFolder
from storage.checkpoints import Checkpoint, CheckpointStore
from trainer.device import Device, configure_device
from trainer.errors import Diverged
from trainer.footprint import check_footprint
from trainer.overlay import encode_png

if TYPE_CHECKING:
    import numpy as np

    # The coordinator names this class to start workers; the framework is for them to load.
    from search.event_file import EventFile
    from trainer.session import EpochMetrics, TrainingSession

_T = TypeVar("_T")
_COLLAPSED_EPOCHS = 3
"""Fewer end no trial, be it no longer itself: many a network begins so, above all where foreground
is rare, and a trial that has failed would teach the sampler nothing. It is told as a fact."""
COLLAPSED_TO = "collapsed_to"
"""Trial attribute: the one class that its last epoch predicted, where it had no skill."""
STARTED_FROM = "started_from"
"""Trial attribute: SHA-256 of the earlier model whose weights it began with."""
DICE_BY_VOLUME = "dice_by_volume"
"""Trial attribute: of each volume by its name, where a study has several."""


class TrialRunner:
    """Runs one trial after the other in this process, an epoch at a call.

    What goes wrong in a trial is returned, not raised: it concerns this trial alone, and crosses
    from process to process as plain data.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._store = CheckpointStore(task.checkpoints)
        self._log = TrialLog(task.logs, task.study)
        self._artifacts = ArtifactFolder(task.artifacts) if task.artifacts else None
        self._events: EventFile | None = None
        self._device: Device | None = None
        self._session: TrainingSession | None = None
        self._assignment: Assignment | None = None
        self._history: tuple[float, ...] = ()
        self._collapsed = 0
        self._weights: Mapping[str, np.ndarray] | None = None
        self._started_from: str | None = None

    def begin(self, assignment: Assignment) -> Begun | Failure:
        """Builds the trial's network, and restores its newest checkpoint where there is one."""
        return self._logged(assignment.trial, lambda: self._begin(assignment))

    def advance(self) -> EpochReport | Failure:
        """Trains one epoch and writes its checkpoint."""
        if self._assignment is None:
            raise RuntimeError("advance was called before begin")
        return self._logged(self._assignment.trial, self._advance)

    def close(self) -> None:
        """Gives the memory of the last trial back."""
        if self._session is None:
            return
        if self._assignment is not None:
            done, planned = len(self._history), self._assignment.epochs
            self._log.write(self._assignment.trial, done, f"released at {done} of {planned} epochs")
        self._session.close()
        self._session = None
        if self._events is not None:
            self._events.close()
            self._events = None

    def _logged(self, trial: int, call: Callable[[], _T]) -> _T | Failure:
        with self._log.capturing(trial, lambda: len(self._history)):
            outcome = guarded(call)
        if isinstance(outcome, Failure):
            self._assignment = None
            text = f"failed ({outcome.kind}): {outcome.reason}\n{outcome.traceback}"
            self._log.write(trial, len(self._history), text.rstrip())
        return outcome

    def _begin(self, assignment: Assignment) -> Begun:
        self.close()
        self._assignment, self._history, self._collapsed = assignment, (), 0
        self._started_from = None
        if self._device is None:
            self._device = configure_device(self._task.threads, gpu_share=self._task.gpu_share)
        from trainer.session import TrainingPlan, TrainingSession

        self._log.write(assignment.trial, 0, f"begun: {_described(assignment, self._device)}")
        room = room_bytes(self._task.memory_bytes, self._device)
        if room is not None:
            check_footprint(assignment.hyperparameters, self._device.precision, room)
        self._session = TrainingSession(
            [
                volume.for_training(assignment.train_on, assignment.fold)
                for volume in self._task.volumes
            ],
            assignment.hyperparameters,
            TrainingPlan(
                epochs=assignment.epochs,
                tiles_per_epoch=assignment.tiles_per_epoch,
                seed=assignment.seed,
            ),
            precision=self._device.precision,
            threads=self._task.threads,
            room_bytes=room,
        )
        restored = self._restore(assignment.trial)
        if restored is None:
            self._go_on_from_earlier(assignment)
        return Begun(restored)

    def _go_on_from_earlier(self, assignment: Assignment) -> None:
        """Takes the weights of the earlier model, where the trial has the same network."""
        earlier = self._task.earlier
        if earlier is None or not earlier.fits(assignment.hyperparameters):
            return
        if self._weights is None:
            self._weights = earlier.weights()
        _given(self._session).begin_with(self._weights)
        self._started_from = earlier.sha256
        self._log.write(assignment.trial, 0, f"weights taken from {earlier.folder}")

    def _restore(self, trial: int) -> EpochReport | None:
        checkpoint = self._store.load(trial)
        if checkpoint is None:
            return None
        _given(self._session).restore(checkpoint.arrays)
        facts = dict(checkpoint.facts)
        self._started_from = facts.get(STARTED_FROM)
        self._history = tuple(facts.pop("history"))
        self._collapsed = facts.pop("collapsed_epochs", 0)
        epoch = checkpoint.epoch
        self._log.write(trial, epoch, f"checkpoint restored from epoch {epoch}")
        return EpochReport(epoch, self._history[-1], self._history, facts)

    def _advance(self) -> EpochReport:
        assignment, session = _given(self._assignment), _given(self._session)
        metrics = session.advance()
        self._history = (*self._history, metrics.scores.dice)
        facts = {
            **_facts(metrics),
            "parameters": session.parameters,
            "prediction_seconds_per_megavoxel": self._prediction_seconds(metrics),
        }
        if self._started_from is not None:
            facts[STARTED_FROM] = self._started_from
        self._log.write(assignment.trial, metrics.epoch, _scored(facts, metrics))
        self._look_for_collapse(metrics)
        kept = {**facts, "history": list(self._history), "collapsed_epochs": self._collapsed}
        self._store.save(assignment.trial, Checkpoint(metrics.epoch, session.state(), kept))
        self._show(assignment, metrics, facts)
        return EpochReport(metrics.epoch, metrics.scores.dice, self._history, facts)

    def _prediction_seconds(self, metrics: EpochMetrics) -> float:
        """Of a megavoxel of the validation sections."""
        voxels = _given(self._session).validation_voxels
        return round(float(metrics.validation_seconds) / voxels * 1e6, 4)

    def _show(
        self, assignment: Assignment, metrics: EpochMetrics, facts: Mapping[str, Any]
    ) -> None:
        """Writes what people look at, which no trial shall fail for."""
        try:
            self._draw(assignment, metrics, facts)
        except Exception as error:
            text = f"no picture of this epoch: {type(error).__name__}: {error}"
            self._log.write(assignment.trial, metrics.epoch, text)

    def _draw(
        self, assignment: Assignment, metrics: EpochMetrics, facts: Mapping[str, Any]
    ) -> None:
        if self._artifacts is None:
            return
        picture = _given(self._session).draw_example(metrics.scores.threshold)
        study, trial = self._task.study, assignment.trial
        self._artifacts.write(study, trial, SECTION, encode_png(picture))
        if self._task.tensorboard is not None:
            numbers = {name: it for name, it in facts.items() if isinstance(it, int | float)}
            each = {f"dice/{name}": dice for name, dice in _by_volume(metrics).items()}
            scores = {"dice": metrics.scores.dice, **numbers, **each}
            self._event_file(assignment, self._task.tensorboard).write(
                metrics.epoch, scores, picture
            )

    def _event_file(self, assignment: Assignment, folder: Path) -> EventFile:
        if self._events is None:
            from search.event_file import EventFile

            params = asdict(assignment.hyperparameters)
            self._events = EventFile(folder, assignment.trial, params)
        return self._events

    def _look_for_collapse(self, metrics: EpochMetrics) -> None:
        self._collapsed = self._collapsed + 1 if metrics.collapsed_to else 0
        if self._collapsed >= _COLLAPSED_EPOCHS:
            raise Diverged(
                f"collapsed to {metrics.collapsed_to} for {self._collapsed} epochs "
                f"(Dice {metrics.scores.dice:.3f} at the best threshold)"
            )


def _given(value: _T | None) -> _T:
    if value is None:
        raise RuntimeError("advance was called before begin")
    return value


def _described(assignment: Assignment, device: Device) -> str:
    values = {
        **asdict(assignment.hyperparameters),
        "epochs": assignment.epochs,
        "tiles_per_epoch": assignment.tiles_per_epoch,
        "seed": assignment.seed,
        "fold": assignment.fold,
        "device": device.name,
        "precision": device.precision,
    }
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _by_volume(metrics: EpochMetrics) -> dict[str, float]:
    """Dice of each volume, where there are several."""
    dice = metrics.dice_by_volume if len(metrics.dice_by_volume) > 1 else {}
    return {name: round(value, 6) for name, value in dice.items()}


def _facts(metrics: EpochMetrics) -> dict[str, Any]:
    each = _by_volume(metrics)
    return {
        **({DICE_BY_VOLUME: each} if each else {}),
        **({COLLAPSED_TO: metrics.collapsed_to} if metrics.collapsed_to else {}),
        "loss": round(metrics.loss, 6),
        "train_dice": round(metrics.train_dice, 6),
        "validation_loss": round(metrics.validation_loss, 6),
        "threshold": round(metrics.scores.threshold, 4),
        "precision": round(metrics.scores.precision, 6),
        "recall": round(metrics.scores.recall, 6),
        "epoch_seconds": round(metrics.seconds, 3),
    }


def _scored(facts: dict[str, Any], metrics: EpochMetrics) -> str:
    text = (
        f"Dice {metrics.scores.dice:.4f}, loss {facts['loss']:.4f}, "
        f"precision {facts['precision']:.4f}, recall {facts['recall']:.4f}, "
        f"{metrics.seconds:.1f} s"
    )
    if DICE_BY_VOLUME in facts:
        each = (f"{name} {dice:.4f}" for name, dice in facts[DICE_BY_VOLUME].items())
        text = f"{text}; Dice of {', '.join(each)}"
    return f"{text}, all {metrics.collapsed_to}" if metrics.collapsed_to else text
