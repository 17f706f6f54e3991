"""Answers are taken as they come, and silence is counted fairly."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from search.calls import Calls


class Clock:
    """Tells the time that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def calls(clock: Clock) -> Calls[str]:
    return Calls(clock)


def test_all_answers_that_are_there_come_at_once(calls: Calls[str]) -> None:
    futures: dict[str, Future[int]] = {name: Future() for name in ("a", "b", "c")}
    for name, future in futures.items():
        calls.add(name, future)
    futures["c"].set_result(3)
    futures["a"].set_exception(ValueError("no"))
    assert [answer.call.owner for answer in calls.wait(1.0)] == ["c", "a"]
    assert len(calls) == 1
    assert calls.wait(0.01) == []


def test_an_answer_from_another_thread_ends_the_wait(calls: Calls[str]) -> None:
    future: Future[int] = Future()
    calls.add("a", future)
    threading.Timer(0.05, future.set_result, [1]).start()
    (answer,) = calls.wait(30.0)
    assert answer.future.result() == 1


def test_a_dropped_call_is_answered_to_nobody(calls: Calls[str]) -> None:
    future: Future[int] = Future()
    calls.drop(calls.add("a", future))
    future.set_result(1)
    assert calls.wait(0.01) == []
    assert len(calls) == 0


def test_a_call_takes_until_its_answer_and_not_until_somebody_looks(
    calls: Calls[str], clock: Clock
) -> None:
    future: Future[int] = Future()
    calls.add("a", future)
    clock.now += 7
    future.set_result(1)
    clock.now += 1800
    (answer,) = calls.wait(1.0)
    assert answer.seconds == 7


def test_time_that_nobody_waited_in_is_no_silence(calls: Calls[str], clock: Clock) -> None:
    call = calls.add("a", Future())
    clock.now += 1800
    calls.wait(0.001)
    assert calls.silence(call) < 2
    for _ in range(10):
        clock.now += 0.5
        calls.wait(0.001)
    assert 5 <= calls.silence(call) < 7
