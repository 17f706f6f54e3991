"""Workers that train nothing: learning curves by parameters, and failures by a script."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from search.assignment import Assignment, Begun, EpochReport, Event, Failure
from storage.checkpoints import Checkpoint, CheckpointStore
from trainer.hyperparameters import Hyperparameters


class Killed(BaseException):
    """The coordinator's process ends here, as by kill -9."""


def learning_curve(hyperparameters: Hyperparameters, epoch: int) -> float:
    """The Dice after an epoch: best at a learning rate of 1e-3, and always rising."""
    distance = abs(math.log10(hyperparameters.learning_rate) + 3)
    return (1 - 0.5**epoch) / (1 + distance)


def facts_after(epoch: int) -> dict[str, float]:
    return {"threshold": 0.5, "precision": epoch / 10, "recall": 0.9}


@dataclass
class FakeWorkers:
    """Several slots that advance in turn, one epoch at a `wait`.

    Attributes:
        checkpoints: Written as real workers do, before the epoch is reported.
        slots: Trials at a time.
        script: What becomes of a trial in an epoch in place of a report; epoch 0 is its begin.
            `Killed` comes after the epoch's checkpoint was written.
        luck: Added to the curve of an assignment, as its seed and fold may do.
        without_place: Trials that hold no device.
        trained: (trial, epoch) in the order in which they were trained.
        begun: Assignments in the order in which they came.
    """

    checkpoints: CheckpointStore
    slots: int = 1
    script: Mapping[tuple[int, int], Failure | type[BaseException]] = field(default_factory=dict)
    curve: Callable[[Hyperparameters, int], float] = learning_curve
    luck: Callable[[Assignment], float] = lambda assignment: 0.0
    facts: Callable[[Hyperparameters, int], dict[str, float]] = lambda run, epoch: {}
    trained: list[tuple[int, int]] = field(default_factory=list)
    begun: list[Assignment] = field(default_factory=list)
    without_place: frozenset[int] = frozenset()
    held: dict[int, Assignment] = field(default_factory=dict)
    history: dict[int, tuple[float, ...]] = field(default_factory=dict)
    calls: deque[tuple[int, Callable[[int], Begun | EpochReport | Failure]]] = field(
        default_factory=deque
    )

    def free(self) -> int:
        return self.slots - len(self.held)

    def unplaced(self) -> int:
        return sum(assignment.trial in self.without_place for assignment in self.held.values())

    def begin(self, assignment: Assignment) -> None:
        assert self.free() > 0, "no worker is free"
        self.held[assignment.trial] = assignment
        self.begun.append(assignment)
        self.calls.append((assignment.trial, self._begin))

    def advance(self, trial: int) -> None:
        assert trial in self.held, "the trial is on no worker"
        assert trial not in {waiting for waiting, _ in self.calls}, "a call is under way"
        self.calls.append((trial, self._advance))

    def release(self, trial: int) -> None:
        del self.held[trial]

    def wait(self, seconds: float) -> list[Event]:
        if not self.calls:
            assert not self.held, "a trial is held, and nothing is asked of it"
            return []
        trial, call = self.calls.popleft()
        outcome = call(trial)
        if isinstance(outcome, Failure):
            del self.held[trial]
        return [Event(trial, outcome)]

    def close(self) -> None:
        self.held.clear()

    def _begin(self, trial: int) -> Begun | Failure:
        if (trial, 0) in self.script:
            return self._scripted(trial, 0)
        self.history[trial] = ()
        checkpoint = self.checkpoints.load(trial)
        if checkpoint is None:
            return Begun(None)
        facts = dict(checkpoint.facts)
        self.history[trial] = tuple(facts.pop("history"))
        return Begun(
            EpochReport(checkpoint.epoch, self.history[trial][-1], self.history[trial], facts)
        )

    def _advance(self, trial: int) -> EpochReport | Failure:
        epoch = len(self.history[trial]) + 1
        if isinstance(self.script.get((trial, epoch)), Failure):
            return self._scripted(trial, epoch)
        assignment = self.held[trial]
        value = self.curve(assignment.hyperparameters, epoch) + self.luck(assignment)
        self.history[trial] = (*self.history[trial], value)
        self.trained.append((trial, epoch))
        facts = facts_after(epoch) | self.facts(self.held[trial].hyperparameters, epoch)
        self.checkpoints.save(
            trial,
            Checkpoint(
                epoch,
                {"weights": np.full(3, epoch)},
                {**facts, "history": list(self.history[trial])},
            ),
        )
        if (trial, epoch) in self.script:
            return self._scripted(trial, epoch)
        return EpochReport(epoch, value, self.history[trial], facts)

    def _scripted(self, trial: int, epoch: int) -> Failure:
        outcome = self.script[trial, epoch]
        if isinstance(outcome, Failure):
            return outcome
        raise outcome
