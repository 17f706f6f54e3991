"""Workers as Ray actors: long-lived processes with their share of the cluster."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError

from search.assignment import Assignment, Begun, EpochReport, Event, Failure, Task
from search.calls import Answer, Call, Calls
from search.memory_watch import forget_memory_records
from search.patience import Patience
from search.pulse import Pulse
from search.ray_cluster import ClusterView, check_room, largest_node_cpus, ray_cluster
from search.ray_failure import explain_failure
from search.runner import TrialRunner
from search.trial_log import TrialLog
from search.worker_process import Arrival, WorkerProcess

__all__ = ["RayWorkers", "check_room", "largest_node_cpus", "ray_cluster"]

_HELD_LONG_ENOUGH = 25
_PATIENCE = Patience()
_LOOK_SECONDS = 0.25


@dataclass(eq=False)
class _Worker:
    """An actor and what it is doing.

    Attributes:
        actor: Ray's handle.
        record: The file that keeps what its process uses.
        node: That it runs on, known from its first answer.
        assignment: The trial that it holds, or held last.
        call: That is under way.
        trials: Trials begun on it so far.
        epoch: Of its trial.
        epoch_seconds: What the trial's last epoch took.
        pulse: Of the call that is under way.
    """

    actor: Any
    record: Path
    node: str | None = None
    assignment: Assignment | None = None
    call: Call[_Worker] | None = None
    trials: int = 0
    epoch: int = 0
    epoch_seconds: float | None = None
    pulse: Pulse | None = None

    def beats(self, silent: float) -> bool:
        """Whether its process is at work on the call, `silent` seconds after it was made."""
        return self.pulse is not None and self.pulse.beats(silent)

    def is_unplaced(self) -> bool:
        """Whether its process has not begun: the record is the first that it writes."""
        return self.node is None and not self.record.exists()

    @property
    def trial(self) -> int:
        """The number of the trial that it holds."""
        if self.assignment is None:
            raise RuntimeError("a worker without a trial has answered")
        return self.assignment.trial


class RayWorkers:
    """As many workers as the cluster has room for, now and whenever a node joins.

    A worker is replaced after a failure, after a number of trials, and when it keeps too much
    memory between them, because TensorFlow does not give back all the memory of a network.
    """

    def __init__(
        self,
        task: Task,
        *,
        cpus: float,
        gpus: float = 0.0,
        trials_per_worker: int = _HELD_LONG_ENOUGH,
        runner: type = TrialRunner,
        patience: Patience = _PATIENCE,
    ) -> None:
        """Prepares workers; they are started as trials are begun.

        Args:
            task: What all trials have in common.
            cpus: Cores of a worker.
            gpus: GPUs of a worker, or its share of one.
            trials_per_worker: After which it is replaced.
            runner: What runs the trials on a worker.
            patience: How long a worker may be silent.
        """
        # The volume is put into the object store once, and read from there by every worker of a
        # node without a copy.
        self._task = ray.put(replace(task, threads=max(1, math.floor(cpus))))
        self._share = (cpus, gpus)
        self._runner = runner
        # In a list of processes a worker goes by the name of what it runs.
        self._process = ray.remote(type(runner.__name__, (WorkerProcess,), {})).options(
            num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0
        )
        self._trials_per_worker = trials_per_worker
        self._patience = patience
        self._log = TrialLog(task.logs, task.study)
        self._records = (task.logs or task.checkpoints) / "workers"
        forget_memory_records(self._records)
        self._cluster = ClusterView()
        self._calls: Calls[_Worker] = Calls()
        self._busy: dict[int, _Worker] = {}
        self._idle: list[_Worker] = []
        self._longest_first = 0.0
        self._looked = 0.0
        self._too_many_since: float | None = None

    def free(self) -> int:
        """Idle workers, and those that the cluster has room for."""
        return max(0, self.slots() - len(self._busy))

    def slots(self) -> int:
        """Trials that the cluster has room for at a time."""
        return self._cluster.room(*self._share)

    def unplaced(self) -> int:
        """Trials whose worker is still to begin: Ray has found no room for it yet."""
        return sum(worker.is_unplaced() for worker in self._busy.values())

    def begin(self, assignment: Assignment) -> None:
        """Gives the trial to an idle worker, or to a new one."""
        self._begin_on(self._take_idle() or self._start(), assignment)

    def advance(self, trial: int) -> None:
        """Asks for one more epoch."""
        worker = self._busy[trial]
        self._ask(worker, worker.actor.advance.remote())

    def release(self, trial: int) -> None:
        """Frees the worker, or ends it when it has held enough trials."""
        worker = self._busy.pop(trial)
        # One that is still at work would keep the next trial waiting.
        if worker.call is not None or worker.trials >= self._trials_per_worker:
            self._end(worker)
        else:
            self._idle.append(worker)

    def wait(self, seconds: float) -> list[Event]:
        """Waits for the first of all calls under way, and takes what else is there.

        Raises:
            ClusterLost: The Ray cluster is gone, and every trial with it.
        """
        self._cluster.check()
        if not self._calls:
            return []
        # What has been answered is taken before anybody is found to be silent.
        answers = self._calls.wait(seconds)
        events = [event for answer in answers if (event := self._take(answer)) is not None]
        if self._calls.watched - self._looked >= _LOOK_SECONDS and self._cluster.answers():
            self._looked = self._calls.watched
            events += [*self._give_up_silent(), *self._give_up_unplaced()]
        return events

    def close(self) -> None:
        """Ends all workers."""
        self._end(*self._busy.values(), *self._idle)
        self._busy.clear()
        self._idle.clear()

    def _begin_on(self, worker: _Worker, assignment: Assignment) -> None:
        worker.assignment, worker.epoch, worker.epoch_seconds = assignment, 0, None
        worker.trials += 1
        self._busy[assignment.trial] = worker
        self._ask(worker, worker.actor.begin.remote(assignment))

    def _ask(self, worker: _Worker, question: Any) -> None:
        worker.pulse = Pulse(worker.record, self._patience)
        worker.call = self._calls.add(worker, question.future())

    def _take(self, answer: Answer[_Worker]) -> Event | None:
        worker = answer.call.owner
        worker.call = None
        error = answer.future.exception()
        if error is not None:
            if isinstance(error, ActorUnavailableError):
                self._cluster.suspect(worker.node)
            return self._give_up(worker, explain_failure(error, worker.record))
        if worker.epoch_seconds is None:
            self._longest_first = max(self._longest_first, answer.seconds)
        value = answer.future.result()
        if isinstance(value, Arrival):
            worker.node, value = value.node, value.outcome
        if value is None:
            self._replace(worker)
            return None
        if isinstance(value, Begun) and value.last is not None:
            worker.epoch = value.last.epoch
        if isinstance(value, EpochReport):
            worker.epoch, worker.epoch_seconds = value.epoch, answer.seconds
        return self._told(worker, value)

    def _told(self, worker: _Worker, outcome: Begun | EpochReport | Failure) -> Event:
        if isinstance(outcome, Failure):
            del self._busy[worker.trial]
            self._end(worker)
        return Event(worker.trial, outcome)

    def _give_up(self, worker: _Worker, failure: Failure) -> Event:
        """Ends the trial, and its log, which its worker cannot do any more."""
        text = f"failed ({failure.kind}): {failure.reason}\n{failure.traceback}"
        self._log.write(worker.trial, worker.epoch, text.rstrip())
        return self._told(worker, failure)

    def _give_up_silent(self) -> Iterator[Event]:
        for worker in list(self._busy.values()):
            if worker.call is None:
                continue
            silent = self._calls.silence(worker.call)
            allowed = self._patience.seconds(worker.epoch_seconds, self._longest_first)
            # Nobody knows how long a first epoch takes: one that is worked on is waited for.
            if silent <= allowed or (worker.epoch_seconds is None and worker.beats(silent)):
                continue
            if worker.is_unplaced() and self._is_full():
                # As long as others of this search work, it waits for one of them to end.
                if self.unplaced() == len(self._busy):
                    yield self._give_up(worker, _without_room(silent))
                continue
            reason = f"no answer from its worker for {silent:.0f} s: taken for lost"
            yield self._give_up(worker, Failure("lost", reason, cause="a silent worker"))

    def _is_full(self) -> bool:
        """Whether all nodes together have less left than one worker asks for."""
        left, (cpus, gpus) = ray.available_resources(), self._share
        return bool(left.get("CPU", 0.0) < cpus or left.get("GPU", 0.0) < gpus)

    def _give_up_unplaced(self) -> Iterator[Event]:
        """Gives up the newest of the workers that no node is left for."""
        placed = sum(self._cluster.has(worker.node) for worker in self._busy.values())
        unplaced = [worker for worker in self._busy.values() if worker.node is None]
        too_many = min(placed + len(unplaced) - self.slots(), len(unplaced))
        if too_many <= 0:
            self._too_many_since = None
            return
        if self._too_many_since is None:
            self._too_many_since = self._calls.watched
        if self._calls.watched - self._too_many_since >= self._patience.unplaced_seconds:
            reason = "the node for its worker was lost before the worker had started"
            for worker in unplaced[-too_many:]:
                yield self._give_up(worker, Failure("lost", reason, cause="a lost node"))

    def _replace(self, worker: _Worker) -> None:
        """Gives the trial to a new worker, as this one has kept too much memory for it."""
        if worker.assignment is not None:
            self._end(worker)
            self._begin_on(self._start(), worker.assignment)

    def _take_idle(self) -> _Worker | None:
        while self._idle:
            worker = self._idle.pop()
            if self._cluster.has(worker.node):
                return worker
            self._end(worker)
        return None

    def _start(self) -> _Worker:
        record = self._records / f"{secrets.token_hex(8)}.json"
        return _Worker(self._process.remote(self._runner, self._task, record), record)

    def _end(self, *workers: _Worker) -> None:
        # Asked once for all: a host that drops packets is waited for.
        answers = bool(workers) and self._cluster.answers()
        for worker in workers:
            if worker.call is not None:
                self._calls.drop(worker.call)
                worker.call = None
            # Otherwise it ends with its node, or as soon as nothing here refers to it.
            if answers:
                ray.kill(worker.actor)
            with suppress(OSError):
                worker.record.unlink(missing_ok=True)


def _without_room(silent: float) -> Failure:
    return Failure(
        "unplaced",
        f"no worker was given a place on the Ray cluster in {silent:.0f} s: others hold its cores "
        "or GPUs; run the same command to go on when they are free",
    )
