"""Where a trial runs, and its simplest form: in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from search.assignment import Assignment, Begun, EpochReport, Event, Failure, Task
from search.runner import TrialRunner


class Workers(Protocol):
    """Runs trials, each on a worker of its own, and tells what becomes of them.

    Every call but `wait` returns at once. A trial that failed has left its worker; every other
    one is ended by `release`.
    """

    def free(self) -> int:
        """How many more trials can begin now."""

    def unplaced(self) -> int:
        """How many trials wait for their worker to be given its place: they hold no device."""

    def begin(self, assignment: Assignment) -> None:
        """Gives the trial to a free worker."""

    def advance(self, trial: int) -> None:
        """Asks for one more epoch."""

    def release(self, trial: int) -> None:
        """Ends the trial on its worker, which is free for another."""

    def wait(self, seconds: float) -> list[Event]:
        """Waits for events, at most so long; without a call under way there are none."""

    def close(self) -> None:
        """Ends all workers."""


class InlineWorkers:
    """One worker in this process: for tests, a debugger or a notebook."""

    def __init__(self, task: Task, *, runner: type = TrialRunner) -> None:
        self._runner = runner(task)
        self._trial: int | None = None
        self._calls: deque[Callable[[], Begun | EpochReport | Failure]] = deque()

    def free(self) -> int:
        """One, while no trial is running."""
        return int(self._trial is None)

    def unplaced(self) -> int:
        """None: the worker is this process."""
        return 0

    def begin(self, assignment: Assignment) -> None:
        """Takes the trial; the work is done in `wait`."""
        self._trial = assignment.trial
        self._calls.append(lambda: self._runner.begin(assignment))

    def advance(self, trial: int) -> None:
        """Asks for an epoch; the work is done in `wait`."""
        if trial != self._trial:
            raise RuntimeError(f"trial {trial} is not running here")
        self._calls.append(self._runner.advance)

    def release(self, trial: int) -> None:
        """Ends the trial."""
        if trial == self._trial:
            self._trial = None

    def wait(self, seconds: float) -> list[Event]:
        """Does what was asked for; `seconds` does not bound it."""
        events = []
        while self._calls and self._trial is not None:
            trial, outcome = self._trial, self._calls.popleft()()
            if isinstance(outcome, Failure):
                self._trial = None
            events.append(Event(trial, outcome))
        return events

    def close(self) -> None:
        """Gives the last network's memory back."""
        self._runner.close()
