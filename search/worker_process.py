"""The process of a worker: one trial after the other, under a watch over its memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import ray

from search.assignment import Assignment, Begun, EpochReport, Failure, Task
from search.memory_watch import MemoryWatch, is_worn, resident_bytes


@dataclass(frozen=True)
class Arrival:
    """What a worker answers when it is given a trial.

    Attributes:
        node: That it runs on.
        outcome: Of the beginning; None where the process has kept too much memory to take it.
    """

    node: str
    outcome: Begun | Failure | None


class WorkerProcess:
    """A trial's runner in a Ray actor."""

    def __init__(self, runner: type, task: Task, record: Path) -> None:
        """Prepares a runner for its trials.

        Args:
            runner: Of what `TrialRunner` can.
            task: What its trials have in common.
            record: The file that keeps what the process uses.
        """
        self._watch = MemoryWatch(record, task.memory_bytes)
        self._watch.start()
        self._runner = runner(task)
        self._node: str = ray.get_runtime_context().get_node_id()
        self._limit = task.memory_bytes
        self._trials = 0
        self._after_first = 0

    def begin(self, assignment: Assignment) -> Arrival:
        """Begins the trial, if the last ones have given their memory back."""
        self._runner.close()
        if self._is_worn():
            return Arrival(self._node, None)
        self._trials += 1
        self._watch.begin(assignment.trial)
        return Arrival(self._node, self._runner.begin(assignment))

    def advance(self) -> EpochReport | Failure:
        """Trains one epoch."""
        outcome: EpochReport | Failure = self._runner.advance()
        return outcome

    def _is_worn(self) -> bool:
        if not self._trials:
            return False
        memory = resident_bytes()
        if self._trials == 1:
            self._after_first = memory
        return is_worn(memory, after_first=self._after_first, limit=self._limit)
