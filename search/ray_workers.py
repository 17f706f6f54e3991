"""Workers as Ray actors: long-lived processes with their share of the cluster."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from search.assignment import Assignment, Event, Failure, Task
from search.runner import TrialRunner
from trainer.errors import InputError

_HELD_LONG_ENOUGH = 25
_CONNECT_SECONDS = 10.0


@dataclass
class _Worker:
    """An actor and what it is doing.

    Attributes:
        pending: The call that is under way.
        trial: The trial that it holds, which may have no call under way for a moment.
        trials: Trials begun on it so far.
    """

    actor: Any
    trial: int | None = None
    pending: Any = None
    trials: int = 0


@contextmanager
def ray_cluster(cpus: int | None = None) -> Iterator[None]:
    """Joins the cluster at `RAY_ADDRESS`, or starts a local one that ends with the block.

    Args:
        cpus: Cores of a local Ray; all of them by default.
    """
    # Without this Ray's own usage report would be sent from a user's machine.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A head that is gone ends this process soon, and not only after a minute.
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "10")
    # A program started by `uv run` would have its workers started by it again.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    # A worker that asked for no GPU sees none: otherwise all of them would crowd the first one.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    address = os.environ.get("RAY_ADDRESS")
    if address:
        _check_answers(address)
    local = {} if address else {"address": "local", "num_cpus": cpus, "include_dashboard": False}
    try:
        ray.init(log_to_driver=False, logging_level="ERROR", configure_logging=True, **local)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(
            f"RAY_ADDRESS: expected a Ray cluster that this host is a node of, got {address!r}: "
            f"{str(error).splitlines()[0]}; start `ray start --address=...` here, or unset it"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def check_room(*, cpus: float, gpus: float) -> None:
    """Refuses what a local Ray will never have; a cluster's nodes may be yet to come.

    Raises:
        InputError: A trial is to have more than this machine has.
    """
    if _room(cpus, gpus) > 0 or os.environ.get("RAY_ADDRESS"):
        return
    total = ray.cluster_resources()
    raise InputError(
        f"workers: expected cpus_per_trial and gpus_per_trial that this machine has "
        f"({total.get('CPU', 0):g} CPUs, {total.get('GPU', 0):g} GPUs), got {cpus:g} and {gpus:g}; "
        "ask for less, or set RAY_ADDRESS"
    )


def _room(cpus: float, gpus: float) -> int:
    """How many workers fit on the nodes; one worker never spans two of them."""
    wanted = [(name, share) for name, share in (("CPU", cpus), ("GPU", gpus)) if share > 0]
    return sum(
        # A share such as a third of a GPU is not exact in binary.
        math.floor(min(node["Resources"].get(name, 0.0) / share for name, share in wanted) + 1e-6)
        for node in ray.nodes()
        if node["Alive"]
    )


def largest_node_cpus() -> float:
    """Cores of the cluster's largest node: what a trial that runs alone can have."""
    nodes = [node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]]
    return float(max([1.0, *nodes]))


def _check_answers(address: str) -> None:
    """Asks once whether anybody listens: Ray itself would go on asking for many minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in address or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"RAY_ADDRESS: expected a Ray cluster that answers, got {address}: {error}; "
            "start it, or unset RAY_ADDRESS for a local one"
        ) from None


class RayWorkers:
    """As many workers as the cluster has room for, now and whenever a node joins.

    A worker is replaced after a failure and after a number of trials, because TensorFlow does
    not give back all the memory of a network.
    """

    def __init__(
        self,
        task: Task,
        *,
        cpus: float,
        gpus: float = 0.0,
        trials_per_worker: int = _HELD_LONG_ENOUGH,
        runner: type = TrialRunner,
    ) -> None:
        # The volume is put into the object store once, and read from there by every worker of a
        # node without a copy.
        self._task = ray.put(replace(task, threads=max(1, math.floor(cpus))))
        self._resources = {"num_cpus": cpus, "num_gpus": gpus}
        self._trials_per_worker = trials_per_worker
        self._runner = runner
        self._workers: list[_Worker] = []

    def free(self) -> int:
        """Idle workers, and those that the cluster has room for."""
        busy = sum(worker.trial is not None for worker in self._workers)
        return max(0, self.slots() - busy)

    def slots(self) -> int:
        """Trials that the cluster has room for at a time."""
        return _room(self._resources["num_cpus"], self._resources["num_gpus"])

    def begin(self, assignment: Assignment) -> None:
        """Gives the trial to an idle worker, or to a new one."""
        worker = next((each for each in self._workers if each.trial is None), None)
        if worker is None:
            worker = self._start()
        worker.trial = assignment.trial
        worker.trials += 1
        worker.pending = worker.actor.begin.remote(assignment)

    def advance(self, trial: int) -> None:
        """Asks for one more epoch."""
        worker = self._holder(trial)
        worker.pending = worker.actor.advance.remote()

    def release(self, trial: int) -> None:
        """Frees the worker, or ends it when it has held enough trials."""
        worker = self._holder(trial)
        worker.trial = worker.pending = None
        if worker.trials >= self._trials_per_worker:
            self._end(worker)

    def wait(self, seconds: float) -> list[Event]:
        """Waits for the first of all calls under way, and takes what else is there."""
        pending = {worker.pending: worker for worker in self._workers if worker.pending is not None}
        if not pending:
            return []
        ready, _ = ray.wait(list(pending), num_returns=1, timeout=seconds)
        also, _ = ray.wait(list(pending), num_returns=len(pending), timeout=0)
        done = list(dict.fromkeys([*ready, *also]))
        return [self._collect(pending[reference]) for reference in done]

    def close(self) -> None:
        """Ends all workers."""
        for worker in list(self._workers):
            self._end(worker)

    def _collect(self, worker: _Worker) -> Event:
        trial, reference = worker.trial, worker.pending
        worker.pending = None
        try:
            outcome = ray.get(reference)
        except RayActorError as error:
            outcome = Failure("lost", f"the worker was lost: {_first_line(error)}")
        except RayError as error:
            cause = f"{type(getattr(error, 'cause', error)).__name__} in a worker"
            outcome = Failure("error", _first_line(error), str(error), cause)
        if isinstance(outcome, Failure):
            worker.trial = None
            self._end(worker)
        if trial is None:
            raise RuntimeError("a worker without a trial has answered")
        return Event(trial, outcome)

    def _start(self) -> _Worker:
        actor = ray.remote(self._runner).options(
            **self._resources, max_restarts=0, max_task_retries=0
        )
        worker = _Worker(actor.remote(self._task))
        self._workers.append(worker)
        return worker

    def _end(self, worker: _Worker) -> None:
        ray.kill(worker.actor)
        self._workers.remove(worker)

    def _holder(self, trial: int) -> _Worker:
        return next(worker for worker in self._workers if worker.trial == trial)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
