"""Calls to other processes that are under way, and their answers as they come."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

_LONGEST_GAP = 1.0
_Owner = TypeVar("_Owner")


@dataclass(eq=False)
class Call(Generic[_Owner]):
    """Something that another process was asked for.

    Attributes:
        owner: Who was asked.
        started: When it was asked.
        watched: How long answers had been waited for by then.
    """

    owner: _Owner
    started: float
    watched: float


@dataclass(frozen=True)
class Answer(Generic[_Owner]):
    """What has come of a call.

    Attributes:
        call: That it answers.
        future: With the result, or with what was raised.
        seconds: From the question to the answer, however late that was taken.
    """

    call: Call[_Owner]
    future: Future[Any]
    seconds: float


class Calls(Generic[_Owner]):
    """All calls under way: each is answered once, or dropped.

    Answers are handed over by the threads that receive them, so that nothing here grows with
    the number of calls.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: queue.SimpleQueue[Answer[_Owner]] = queue.SimpleQueue()
        self._under_way: set[Call[_Owner]] = set()
        self.watched = 0.0
        """Seconds in which an answer would have been noticed."""
        self._waited_at = clock()

    def __len__(self) -> int:
        return len(self._under_way)

    def add(self, owner: _Owner, future: Future[Any]) -> Call[_Owner]:
        """Expects an answer."""
        call = Call(owner, self._clock(), self.watched)
        self._under_way.add(call)
        future.add_done_callback(
            lambda done: self._answers.put(Answer(call, done, self._clock() - call.started))
        )
        return call

    def drop(self, call: Call[_Owner]) -> None:
        """Expects no answer any more; one that comes all the same is ignored."""
        self._under_way.discard(call)

    def wait(self, seconds: float) -> list[Answer[_Owner]]:
        """Waits for the first answer, and takes what else is there."""
        answers = self._take(seconds)
        now = self._clock()
        # Time that this process was busy elsewhere, or stopped, is nobody's silence.
        self.watched += min(now - self._waited_at, seconds + _LONGEST_GAP)
        self._waited_at = now
        taken = [answer for answer in answers if answer.call in self._under_way]
        self._under_way.difference_update(answer.call for answer in taken)
        return taken

    def silence(self, call: Call[_Owner]) -> float:
        """For how many seconds an answer to the call has been waited for."""
        return self.watched - call.watched

    def _take(self, seconds: float) -> list[Answer[_Owner]]:
        answers = []
        try:
            answers.append(self._answers.get(timeout=seconds))
            while True:
                answers.append(self._answers.get_nowait())
        except queue.Empty:
            return answers
