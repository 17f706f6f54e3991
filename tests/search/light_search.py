"""A search whose trials train nothing: `python light_search.py CONFIG`.

Everything but the network is real: the command's own wiring, its study, lock, Ray, checkpoints.
What goes wrong in a trial is asked for by a file `faults/TRIAL-EPOCH` in the working directory.
"""

from __future__ import annotations

import math
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from search.assignment import Assignment, Begun, EpochReport, Failure, Task
from search.config import load_config
from search.run import Result, SearchRun
from search.terms import Ending
from storage.checkpoints import Checkpoint, CheckpointStore
from storage.errors import CheckpointError, StorageError


def light_curve(learning_rate: float, epoch: int) -> float:
    """The Dice after an epoch, which anybody can calculate again."""
    return (1 - 0.5**epoch) / (1 + abs(math.log10(learning_rate) + 3))


class LightRunner:
    """Sleeps for an epoch, and keeps checkpoints as the real one does."""

    def __init__(self, task: Task) -> None:
        self._store = CheckpointStore(task.checkpoints)
        self._seconds = float(os.environ.get("LIGHT_EPOCH_SECONDS", "0.05"))
        self._faults = task.checkpoints.parents[2] / "faults"
        self._hoard: list[Any] = []

    def begin(self, assignment: Assignment) -> Begun | Failure:
        self._assignment = assignment
        self._history: tuple[float, ...] = ()
        checkpoint = self._store.load(assignment.trial)
        if checkpoint is None:
            return Begun(None)
        facts = dict(checkpoint.facts)
        self._history = tuple(facts.pop("history"))
        return Begun(EpochReport(checkpoint.epoch, self._history[-1], self._history, facts))

    def advance(self) -> EpochReport | Failure:
        time.sleep(self._seconds)
        epoch = len(self._history) + 1
        value = light_curve(self._assignment.hyperparameters.learning_rate, epoch)
        failure = self._fault(epoch)
        if failure is not None:
            return failure
        self._history = (*self._history, value)
        facts = {"threshold": 0.5, "precision": 0.9, "recall": 0.9, "pid": os.getpid()}
        arrays = {"weights": np.full(200, value)}
        held = {**facts, "history": list(self._history)}
        try:
            self._store.save(self._assignment.trial, Checkpoint(epoch, arrays, held))
        except CheckpointError as error:
            return Failure("storage", str(error))
        return EpochReport(epoch, value, self._history, facts)

    def close(self) -> None:
        pass

    def _fault(self, epoch: int) -> Failure | None:
        asked = self._faults / f"{self._assignment.trial}-{epoch}"
        kind = asked.read_text() if asked.exists() else ""
        asked.unlink(missing_ok=True)
        if kind == "nan":
            return Failure("diverged", f"the loss became nan in epoch {epoch}")
        if kind == "disk":
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        if kind == "memory":
            while True:
                self._hoard.append(np.ones(1 << 23))
                time.sleep(0.05)
        if kind == "hang":
            time.sleep(600)
        while kind == "wait" and not (self._faults / "go").exists():
            time.sleep(0.05)
        return None


class LightRun(SearchRun):
    """The search alone: there is no network to make a model of."""

    def _finish(self, study: Any, ending: Ending) -> Result:
        return Result(ending, None, None)


def _be_impatient(seconds: str) -> None:
    """Takes a silent worker for lost sooner than a user would want it."""
    from search.patience import Patience
    from search.ray_workers import RayWorkers

    patience = Patience(least_seconds=float(seconds), first_seconds=120.0)
    RayWorkers.__init__.__kwdefaults__["patience"] = patience


def main() -> int:
    config = load_config(Path(sys.argv[1]))
    if "LIGHT_PATIENCE_SECONDS" in os.environ:
        _be_impatient(os.environ["LIGHT_PATIENCE_SECONDS"])
    try:
        result = LightRun(config, lambda line: print(line, flush=True), runner=LightRunner).run()
    except StorageError as error:
        print(error, file=sys.stderr)
        return 2
    print(result.ending.kind, result.ending.reason)
    return {"done": 0, "failed": 1, "interrupted": 130}[result.ending.kind]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
