"""Real Ray actors, with a runner that trains nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from search.assignment import Assignment, Begun, EpochReport, Event, Failure, Task
from search.ray_workers import RayWorkers, check_room, largest_node_cpus, ray_cluster
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.split import split_sections
from trainer.volume import Volume

pytestmark = pytest.mark.slow


def _runner() -> type:
    # Made in a function, so that Ray sends it by value: workers cannot import the tests.
    class Runner:
        def __init__(self, task: Task) -> None:
            self.task = task
            self.epoch = 0

        def begin(self, assignment: Assignment) -> Begun:
            self.assignment = assignment
            self.epoch = 0
            return Begun(None)

        def advance(self) -> EpochReport | Failure:
            self.epoch += 1
            if self.assignment.trial == 13:
                return Failure("error", "unlucky")
            if self.assignment.trial == 14:
                raise RuntimeError("raised outside of the guard")
            if self.assignment.trial == 15:
                time.sleep(60)
            threads, pid = self.task.threads, os.getpid()
            return EpochReport(self.epoch, 0.5, (0.5,), {"pid": pid, "threads": threads})

    return Runner


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with ray_cluster(cpus=2):
        yield


@pytest.fixture
def workers(cluster: None) -> Iterator[RayWorkers]:
    workers = RayWorkers(_task(), cpus=1, trials_per_worker=2, runner=_runner())
    yield workers
    workers.close()


def _task() -> Task:
    raw = np.zeros((20, 8, 8), np.uint8)
    return Task(Volume(raw, raw, None, ()), split_sections(20, gap=1), Path("nowhere"), 1)


def _assignment(trial: int) -> Assignment:
    return Assignment(trial, Hyperparameters(), 3, 1, "train", 0)


def _next(workers: RayWorkers) -> Event:
    for _ in range(60):
        events = workers.wait(1.0)
        if events:
            assert len(events) == 1
            return events[0]
    raise AssertionError("no event within a minute")


def _pid(workers: RayWorkers, trial: int) -> int:
    """Begins a trial, trains one epoch of it, and tells the process that did."""
    workers.begin(_assignment(trial))
    assert _next(workers) == Event(trial, Begun(None))
    workers.advance(trial)
    outcome = _next(workers).outcome
    assert isinstance(outcome, EpochReport)
    return int(outcome.facts["pid"])


def test_there_is_a_slot_for_each_share_of_the_cluster(cluster: None) -> None:
    assert RayWorkers(_task(), cpus=1).slots() == 2
    assert RayWorkers(_task(), cpus=2).slots() == 1
    assert RayWorkers(_task(), cpus=1, gpus=0.5).slots() == 0
    assert largest_node_cpus() == 2


def test_more_than_this_machine_has_is_refused(cluster: None) -> None:
    check_room(cpus=2, gpus=0)
    with pytest.raises(InputError, match=r"2 CPUs, 0 GPUs.* got 1 and 0\.5"):
        check_room(cpus=1, gpus=0.5)


def test_trials_run_side_by_side(workers: RayWorkers) -> None:
    workers.begin(_assignment(0))
    workers.begin(_assignment(1))
    assert workers.free() == 0
    seen: set[int] = set()
    while seen != {0, 1}:
        seen |= {event.trial for event in workers.wait(10.0)}
    workers.release(0)
    assert workers.free() == 1


def test_nothing_under_way_is_nothing_to_wait_for(workers: RayWorkers) -> None:
    assert workers.wait(10.0) == []


def test_a_worker_lives_through_trials_until_it_is_replaced(workers: RayWorkers) -> None:
    first = _pid(workers, 0)
    workers.release(0)
    second = _pid(workers, 1)
    workers.release(1)
    third = _pid(workers, 2)
    assert first == second
    assert third != second


def test_a_killed_worker_is_a_lost_trial_and_a_free_slot(workers: RayWorkers) -> None:
    pid = _pid(workers, 0)
    workers.advance(0)
    _next(workers)
    os.kill(pid, signal.SIGKILL)
    workers.advance(0)
    event = _next(workers)
    assert isinstance(event.outcome, Failure)
    assert event.outcome.kind == "lost"
    assert "\n" not in event.outcome.reason
    assert workers.free() == 2
    assert _pid(workers, 1) != pid


def test_a_failed_trial_takes_its_worker_along(workers: RayWorkers) -> None:
    workers.begin(_assignment(13))
    _next(workers)
    workers.advance(13)
    assert _next(workers).outcome == Failure("error", "unlucky")
    assert workers.free() == 2


def test_an_exception_that_reaches_ray_is_a_failure(workers: RayWorkers) -> None:
    workers.begin(_assignment(14))
    _next(workers)
    workers.advance(14)
    outcome = _next(workers).outcome
    assert isinstance(outcome, Failure)
    assert outcome.kind == "error"
    assert "raised outside of the guard" in outcome.traceback


def test_wait_does_not_wait_longer_than_it_may(workers: RayWorkers) -> None:
    workers.begin(_assignment(15))
    _next(workers)
    workers.advance(15)
    assert workers.wait(0.05) == []


def test_a_worker_never_spans_two_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    node = {"Alive": True, "Resources": {"CPU": 3.0, "GPU": 1.0}}
    gone = {**node, "Alive": False}
    bare = {"Alive": True, "Resources": {"CPU": 0.0}}
    monkeypatch.setattr("search.ray_workers.ray.put", lambda task: task)
    monkeypatch.setattr("search.ray_workers.ray.nodes", lambda: [node, node, gone, bare])
    assert RayWorkers(_task(), cpus=2).slots() == 2
    assert RayWorkers(_task(), cpus=1, gpus=1 / 3).slots() == 6
    assert RayWorkers(_task(), cpus=4).slots() == 0


def test_threads_follow_the_share_of_cores(cluster: None) -> None:
    workers = RayWorkers(_task(), cpus=2, runner=_runner())
    workers.begin(_assignment(0))
    _next(workers)
    workers.advance(0)
    outcome = _next(workers).outcome
    assert isinstance(outcome, EpochReport)
    assert outcome.facts["threads"] == 2
    workers.close()
