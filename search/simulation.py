"""Workers that train nothing, on a clock that does not wait."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from search.assignment import Assignment, Begun, EpochReport, Event, Failure
from search.curves import Curve, Curves
from search.mishaps import Mishap, Mishaps
from search.occupancy import Occupancy
from storage.checkpoints import Checkpoint, CheckpointStore
from trainer.footprint import count_weights

_INSTANT_SECONDS = 1e-6
_TILE_MEGAVOXELS = 256 * 256 / 1e6


class VirtualClock:
    """Seconds that pass when somebody waits for something, and cost no real time."""

    def __init__(self, work: Callable[[], float] = lambda: 0.0) -> None:
        """Begins at 0.

        Args:
            work: A clock whose time passes here as well, such as the real one; by default
                whatever is done between waits takes no time.
        """
        self._work = work
        self._ahead = -work()

    def __call__(self) -> float:
        """Seconds since the beginning."""
        return self._ahead + self._work()

    def wait_until(self, moment: float) -> None:
        """Lets time pass, unless that moment has come already."""
        self._ahead += max(0.0, moment - self())


class SimulatedWorkers:
    """A number of slots whose trials follow given learning curves.

    As real workers do, they write a checkpoint before they report an epoch, go on from the one
    that they find, and are replaced after a failure and after a number of trials.

    Attributes:
        slots: Trials at a time.
        clock: The same that the coordinator goes by.
        begun: When each trial was begun.
        occupancy: What the slots were doing.
    """

    def __init__(
        self,
        slots: int,
        curves: Curves,
        checkpoints: CheckpointStore,
        clock: VirtualClock,
        *,
        mishaps: Mishaps | None = None,
        first_startup_seconds: float = 15.0,
        later_startup_seconds: float = 5.0,
        trials_per_worker: int = 25,
    ) -> None:
        """Prepares the slots.

        Args:
            slots: Trials at a time.
            curves: What becomes of each trial.
            checkpoints: The same that the coordinator knows.
            clock: The same that the coordinator goes by.
            mishaps: What goes wrong; nothing by default.
            first_startup_seconds: From a trial's begin to its first epoch on a new worker, which
                has a process and a framework to start.
            later_startup_seconds: The same on a worker that has run a trial.
            trials_per_worker: After which it is replaced.
        """
        self.slots, self.clock = slots, clock
        self.occupancy = Occupancy(slots)
        self.begun: dict[int, float] = {}
        self._curves, self._checkpoints = curves, checkpoints
        self._mishaps = mishaps or Mishaps()
        self._startup_seconds = (first_startup_seconds, later_startup_seconds)
        self._trials_per_worker = trials_per_worker
        self._running: dict[int, _Run] = {}
        self._warm: list[_Worker] = []
        self._calls: list[_Call] = []
        self._called = 0

    def free(self) -> int:
        """Slots without a trial."""
        return self.slots - len(self._running)

    def unplaced(self) -> int:
        """None: a slot is a place."""
        return 0

    def begin(self, assignment: Assignment) -> None:
        """Gives the trial to a worker that has run one before, or else to a new one.

        Raises:
            RuntimeError: No slot is free.
        """
        if not self.free():
            raise RuntimeError(f"trial {assignment.trial} was begun while no slot was free")
        worker = self._warm.pop() if self._warm else _Worker()
        curve = self._curves.curve(assignment.hyperparameters)
        run = self._running[assignment.trial] = _Run(assignment, worker, curve)
        seconds = self._startup_seconds[min(worker.trials, 1)]
        worker.trials += 1
        self.begun[assignment.trial] = self.clock()
        self.occupancy.add("starting", *self._call(run, seconds, lambda: self._begin(run)))

    def advance(self, trial: int) -> None:
        """Begins one more epoch."""
        run = self._running[trial]
        epoch = len(run.history) + 1
        seconds = run.curve.epoch_seconds[epoch - 1]
        mishap = self._mishaps.strike(trial, epoch)
        spell = (
            self._call(run, seconds, lambda: self._advance(run, seconds))
            if mishap is None
            else self._call(run, seconds * mishap.after, lambda: self._fail(run, mishap))
        )
        self.occupancy.add("training", *spell)

    def release(self, trial: int) -> None:
        """Frees the slot, and keeps its worker for another trial unless it has run enough."""
        worker = self._running.pop(trial).worker
        if worker.trials < self._trials_per_worker:
            self._warm.append(worker)

    def wait(self, seconds: float) -> list[Event]:
        """Goes to the next moment at which something happens, however far away it is."""
        self._drop_released()
        if not self._calls:
            return []
        self.clock.wait_until(self._calls[0].due)
        now, events = self.clock() + _INSTANT_SECONDS, []
        while self._calls and self._calls[0].due <= now:
            call = heapq.heappop(self._calls)
            events.append(Event(call.run.trial, call.answer()))
            self._drop_released()
        return events

    def close(self) -> None:
        """Ends all workers."""
        self._running.clear()
        self._warm.clear()
        self._calls.clear()

    def _call(
        self, run: _Run, seconds: float, answer: Callable[[], Begun | EpochReport | Failure]
    ) -> tuple[float, float]:
        """Has it answered after so many seconds; returns from when until when that is."""
        now = self.clock()
        heapq.heappush(self._calls, _Call(now + seconds, self._called, run, answer))
        self._called += 1
        return now, now + seconds

    def _drop_released(self) -> None:
        """Forgets calls of trials that were ended before they were answered."""
        while self._calls and self._running.get((run := self._calls[0].run).trial) is not run:
            heapq.heappop(self._calls)

    def _begin(self, run: _Run) -> Begun:
        checkpoint = self._checkpoints.load(run.trial)
        if checkpoint is None:
            return Begun(None)
        facts = dict(checkpoint.facts)
        run.history = tuple(facts.pop("history"))
        return Begun(EpochReport(checkpoint.epoch, run.history[-1], run.history, facts))

    def _advance(self, run: _Run, seconds: float) -> EpochReport:
        epoch = len(run.history) + 1
        value = run.curve.values[epoch - 1]
        run.history = (*run.history, value)
        facts = {
            "loss": round(1 - value, 6),
            "threshold": 0.5,
            "precision": round(value, 6),
            "recall": round(value, 6),
            "epoch_seconds": round(seconds, 3),
            "parameters": count_weights(run.assignment.hyperparameters),
            "prediction_seconds_per_megavoxel": round(run.prediction_seconds(seconds), 4),
        }
        kept = {**facts, "history": list(run.history)}
        self._checkpoints.save(run.trial, Checkpoint(epoch, {}, kept))
        return EpochReport(epoch, value, run.history, facts)

    def _fail(self, run: _Run, mishap: Mishap) -> Failure:
        # The worker goes with its trial: the slot's next one is new.
        del self._running[run.trial]
        return mishap.failure


@dataclass
class _Worker:
    """A process that lives through many trials."""

    trials: int = 0


@dataclass
class _Run:
    """A trial on its worker."""

    assignment: Assignment
    worker: _Worker
    curve: Curve
    history: tuple[float, ...] = ()

    @property
    def trial(self) -> int:
        """Its number."""
        return self.assignment.trial

    def prediction_seconds(self, epoch_seconds: float) -> float:
        """Of a megavoxel: to predict a voxel takes about a quarter of what it takes to train."""
        megavoxels = self.assignment.tiles_per_epoch * _TILE_MEGAVOXELS
        return epoch_seconds / megavoxels / 4


@dataclass(frozen=True, order=True)
class _Call:
    """What a worker was asked for, and when it answers; of equals the first that was asked."""

    due: float
    order: int
    run: _Run = field(compare=False)
    answer: Callable[[], Begun | EpochReport | Failure] = field(compare=False)
