"""A trial on a worker: a training session and its checkpoints."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from search.assignment import Assignment, Begun, EpochReport, Failure, Task
from storage.checkpoints import Checkpoint, CheckpointStore
from storage.errors import CheckpointError
from trainer.device import Device, configure_device
from trainer.errors import Diverged

if TYPE_CHECKING:
    # The coordinator names this class to start workers; the framework is for them to load.
    from trainer.session import EpochMetrics, TrainingSession

_T = TypeVar("_T")


class TrialRunner:
    """Runs one trial after the other in this process, an epoch at a call.

    What goes wrong in a trial is returned, not raised: it concerns this trial alone, and crosses
    from process to process as plain data.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._store = CheckpointStore(task.checkpoints)
        self._device: Device | None = None
        self._session: TrainingSession | None = None
        self._assignment: Assignment | None = None
        self._history: tuple[float, ...] = ()

    def begin(self, assignment: Assignment) -> Begun | Failure:
        """Builds the trial's network, and restores its newest checkpoint where there is one."""
        return _guarded(lambda: self._begin(assignment))

    def advance(self) -> EpochReport | Failure:
        """Trains one epoch and writes its checkpoint."""
        return _guarded(self._advance)

    def close(self) -> None:
        """Gives the memory of the last trial back."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _begin(self, assignment: Assignment) -> Begun:
        self.close()
        if self._device is None:
            self._device = configure_device(self._task.threads)
        from trainer.session import TrainingPlan, TrainingSession

        split = self._task.split
        self._assignment = assignment
        self._session = TrainingSession(
            self._task.volume,
            assignment.hyperparameters,
            TrainingPlan(
                epochs=assignment.epochs,
                tiles_per_epoch=assignment.tiles_per_epoch,
                train=split.train if assignment.train_on == "train" else split.all,
                validation=split.validation,
                seed=assignment.seed,
            ),
            precision=self._device.precision,
            threads=self._task.threads,
        )
        return Begun(self._restore(assignment.trial))

    def _restore(self, trial: int) -> EpochReport | None:
        checkpoint = self._store.load(trial)
        self._history = ()
        if checkpoint is None or self._session is None:
            return None
        self._session.restore(checkpoint.arrays)
        facts = dict(checkpoint.facts)
        self._history = tuple(facts.pop("history"))
        return EpochReport(checkpoint.epoch, self._history[-1], self._history, facts)

    def _advance(self) -> EpochReport:
        if self._session is None or self._assignment is None:
            raise RuntimeError("advance was called before begin")
        metrics = self._session.advance()
        self._history = (*self._history, metrics.scores.dice)
        facts = {**_facts(metrics), "parameters": self._session.parameters}
        self._store.save(
            self._assignment.trial,
            Checkpoint(
                metrics.epoch, self._session.state(), {**facts, "history": list(self._history)}
            ),
        )
        return EpochReport(metrics.epoch, metrics.scores.dice, self._history, facts)


def _facts(metrics: EpochMetrics) -> dict[str, float]:
    return {
        "loss": round(metrics.loss, 6),
        "threshold": metrics.scores.threshold,
        "precision": round(metrics.scores.precision, 6),
        "recall": round(metrics.scores.recall, 6),
        "epoch_seconds": round(metrics.seconds, 3),
    }


def _guarded(call: Callable[[], _T]) -> _T | Failure:
    try:
        return call()
    except Diverged as error:
        return Failure("diverged", str(error))
    except CheckpointError as error:
        return Failure("storage", str(error))
    except Exception as error:  # whatever it is, it ends this trial and not the worker
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        place = traceback.extract_tb(error.__traceback__)[-1]
        cause = f"{type(error).__name__} at {place.filename}:{place.lineno}"
        return Failure("error", reason, traceback.format_exc(), cause)
