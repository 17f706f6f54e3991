"""Real Ray actors, with a runner that trains nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from search.assignment import Assignment, Begun, EpochReport, Event, Failure, Task
from search.memory_watch import MemoryRecord
from search.patience import Patience
from search.ray_cluster import check_room, largest_node_cpus, ray_cluster
from search.ray_workers import RayWorkers
from search.study_volume import StudyVolume
from search.trial_log import read_log_tail
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.split import split_sections
from trainer.volume import Volume

pytestmark = pytest.mark.slow


HANGS, HOARDS, RAISES, FAILS, KEEPS, COMPUTES, SLEEPS = 15, 16, 14, 13, 17, 18, 19
_MB = 1 << 20


def _runner() -> type:
    from hashlib import pbkdf2_hmac

    # Made in a function, so that Ray sends it by value: workers cannot import the tests.
    class Runner:
        def __init__(self, task: Task) -> None:
            self.task = task
            self.epoch = 0
            self.hoard: list[bytes] = []

        def begin(self, assignment: Assignment) -> Begun:
            self.assignment = assignment
            self.epoch = 0
            return Begun(None)

        def close(self) -> None:
            pass

        def advance(self) -> EpochReport | Failure:
            self.epoch += 1
            trial = self.assignment.trial
            if trial == FAILS:
                return Failure("error", "unlucky")
            if trial == RAISES:
                raise RuntimeError("raised outside of the guard")
            if trial == HANGS and self.epoch == 2:
                time.sleep(60)
            if trial == SLEEPS:
                time.sleep(60)
            until = time.monotonic() + 10
            while trial == COMPUTES and time.monotonic() < until:
                pbkdf2_hmac("sha256", b"", b"", 50_000)  # as TensorFlow, it leaves Python to others
            while trial == HOARDS:
                self.hoard.append(b"x" * (20 * _MB))
                time.sleep(0.05)
            if trial == KEEPS:
                self.hoard.append(b"x" * (300 * _MB))
            threads, pid = self.task.threads, os.getpid()
            return EpochReport(self.epoch, 0.5, (0.5,), {"pid": pid, "threads": threads})

    return Runner


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    # A Ray that another module's tests had started may have left its own.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with ray_cluster(cpus=2):
        yield


@pytest.fixture
def start(cluster: None, tmp_path: Path) -> Iterator[Callable[..., RayWorkers]]:
    started: list[RayWorkers] = []

    def start_workers(memory_bytes: int | None = None, **settings: Any) -> RayWorkers:
        task = replace(_task(), logs=tmp_path, memory_bytes=memory_bytes)
        started.append(RayWorkers(task, cpus=1, runner=_runner(), **settings))
        return started[-1]

    yield start_workers
    for workers in started:
        workers.close()


@pytest.fixture
def workers(start: Callable[..., RayWorkers]) -> RayWorkers:
    return start(trials_per_worker=2)


def _task() -> Task:
    raw = np.zeros((20, 8, 8), np.uint8)
    volume = Volume(raw, raw, None, ())
    return Task(
        (StudyVolume(volume, split_sections(20, gap=1)),), Path("nowhere"), 1, study="tests"
    )


def _assignment(trial: int) -> Assignment:
    return Assignment(trial, Hyperparameters(), 3, 1, "train", 0)


def _next(workers: RayWorkers) -> Event:
    for _ in range(120):
        events = workers.wait(1.0)
        if events:
            assert len(events) == 1
            return events[0]
    raise AssertionError("no event within two minutes")


def _next_two(workers: RayWorkers) -> list[Event]:
    events: list[Event] = []
    for _ in range(120):
        events += workers.wait(1.0)
        if len(events) == 2:
            return events
    raise AssertionError("no two events within two minutes")


def _next_failure(workers: RayWorkers) -> Failure:
    outcome = _next(workers).outcome
    assert isinstance(outcome, Failure)
    assert "\n" not in outcome.reason
    return outcome


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


def test_a_local_ray_leaves_the_programs_signals_alone(cluster: None) -> None:
    # Ray's own handler ends a process as if it had done its work.
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    # A shell starts what runs in its background without it.
    assert signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_IGN)


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
    assert _next_failure(workers).kind == "lost"
    assert workers.free() == 2
    assert _pid(workers, 1) != pid


def test_a_failed_trial_takes_its_worker_along(workers: RayWorkers) -> None:
    workers.begin(_assignment(FAILS))
    _next(workers)
    workers.advance(FAILS)
    assert _next(workers).outcome == Failure("error", "unlucky")
    assert workers.free() == 2


def test_an_exception_that_reaches_ray_is_a_failure(workers: RayWorkers) -> None:
    workers.begin(_assignment(RAISES))
    _next(workers)
    workers.advance(RAISES)
    outcome = _next_failure(workers)
    assert outcome.kind == "error"
    assert "raised outside of the guard" in outcome.traceback


def test_wait_does_not_wait_longer_than_it_may(workers: RayWorkers) -> None:
    _pid(workers, HANGS)
    workers.advance(HANGS)
    assert workers.wait(0.05) == []


def test_threads_follow_the_share_of_cores(cluster: None, tmp_path: Path) -> None:
    workers = RayWorkers(replace(_task(), logs=tmp_path), cpus=2, runner=_runner())
    workers.begin(_assignment(0))
    _next(workers)
    workers.advance(0)
    outcome = _next(workers).outcome
    assert isinstance(outcome, EpochReport)
    assert outcome.facts["threads"] == 2
    workers.close()


def test_a_stopped_worker_is_lost_and_replaced(start: Callable[..., RayWorkers]) -> None:
    workers = start(patience=Patience(least_seconds=2.0))
    pid = _pid(workers, 0)
    os.kill(pid, signal.SIGSTOP)
    workers.advance(0)
    failure = _next_failure(workers)
    assert failure.kind == "lost"
    assert "no answer from its worker for" in failure.reason
    assert workers.free() == 2
    assert _pid(workers, 1) != pid


def test_a_first_epoch_that_is_worked_on_is_waited_for(start: Callable[..., RayWorkers]) -> None:
    workers = start()
    for trial in (COMPUTES, SLEEPS):
        workers.begin(_assignment(trial))
    assert {event.trial for event in _next_two(workers)} == {COMPUTES, SLEEPS}
    # From here on: starting a process takes as long as the machine lets it.
    workers._patience = Patience(least_seconds=4.0, times=0.0, first_seconds=2.0)
    for trial in (COMPUTES, SLEEPS):
        workers.advance(trial)
    ends = {event.trial: event.outcome for event in _next_two(workers)}
    assert isinstance(ends[COMPUTES], EpochReport)
    lost = ends[SLEEPS]
    assert isinstance(lost, Failure)
    assert (lost.kind, lost.cause) == ("lost", "a silent worker")


def test_a_worker_that_others_leave_no_room_for_holds_nothing_and_is_not_lost(
    start: Callable[..., RayWorkers],
) -> None:
    class Foreign:
        def is_there(self) -> bool:
            return True

    foreign = ray.remote(Foreign).options(num_cpus=2).remote()
    assert ray.get(foreign.is_there.remote())
    workers = start(patience=Patience(first_seconds=1.0))
    workers.begin(_assignment(0))
    assert workers.unplaced() == 1
    assert _next_failure(workers).kind == "unplaced"
    ray.kill(foreign)
    workers._patience = Patience()
    assert _pid(workers, 1)
    assert workers.unplaced() == 0


def test_an_answer_that_is_there_is_taken_however_late(start: Callable[..., RayWorkers]) -> None:
    workers = start(patience=Patience(least_seconds=0.2, times=0.0))
    _pid(workers, 0)
    workers.advance(0)
    time.sleep(3.0)
    assert isinstance(_next(workers).outcome, EpochReport)


def test_what_a_lost_worker_still_says_is_ignored(start: Callable[..., RayWorkers]) -> None:
    workers = start(patience=Patience(least_seconds=3.0, times=0.0))
    _pid(workers, HANGS)
    workers.advance(HANGS)
    assert _next_failure(workers).kind == "lost"
    assert _pid(workers, 1)
    workers.advance(1)
    assert _next(workers).trial == 1
    assert workers.wait(1.0) == []


def test_a_trial_beyond_its_memory_is_told_so(
    start: Callable[..., RayWorkers], tmp_path: Path
) -> None:
    workers = start(memory_bytes=700 * _MB)
    workers.begin(_assignment(HOARDS))
    _next(workers)
    workers.advance(HOARDS)
    failure = _next_failure(workers)
    assert failure.kind == "memory"
    assert "of its limit of 0.73 GB" in failure.reason
    assert failure.reason in read_log_tail(tmp_path, HOARDS, lines=1)[0]
    assert not list((tmp_path / "workers").iterdir())


@pytest.mark.parametrize(("limit", "kind"), [(100 * _MB, "memory"), (4000 * _MB, "lost")])
def test_an_unexplained_death_near_the_limit_is_one_of_memory(
    start: Callable[..., RayWorkers],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    kind: str,
) -> None:
    workers = start()
    pid = _pid(workers, 0)
    (record,) = (tmp_path / "workers").iterdir()
    known = MemoryRecord(0, 97 * _MB, limit, 0.5)
    monkeypatch.setattr("search.ray_failure.read_memory_record", {record: known}.get)
    os.kill(pid, signal.SIGKILL)
    workers.advance(0)
    assert _next_failure(workers).kind == kind


def test_a_worker_that_keeps_its_memory_is_replaced_before_the_next_trial(
    start: Callable[..., RayWorkers],
) -> None:
    workers = start(memory_bytes=480 * _MB)
    first = _pid(workers, KEEPS)
    workers.release(KEEPS)
    assert workers.free() == 2
    assert _pid(workers, 1) != first


def test_a_trial_that_is_released_in_mid_epoch_keeps_nobody_waiting(workers: RayWorkers) -> None:
    first = _pid(workers, HANGS)
    workers.advance(HANGS)
    workers.release(HANGS)
    assert workers.wait(0.1) == []
    assert _pid(workers, 1) != first


def test_a_worker_that_cannot_start_is_an_error_and_no_loss(cluster: None, tmp_path: Path) -> None:
    class Broken:
        def __init__(self, task: Task) -> None:
            raise ModuleNotFoundError("No module named 'search'")

    workers = RayWorkers(replace(_task(), logs=tmp_path), cpus=1, runner=Broken)
    workers.begin(_assignment(0))
    failure = _next_failure(workers)
    assert failure.kind == "error"
    assert "No module named 'search'" in failure.reason
    workers.close()
