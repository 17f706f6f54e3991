"""Starts a light search as a process, breaks things around it, and checks what is left."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import psutil
from optuna.trial import FrozenTrial, TrialState

from storage.checkpoints import CheckpointStore
from storage.database import Database, database_from_environment
from storage.studies import open_study_storage

PROGRAM = Path(__file__).with_name("light_search.py")
SECONDS = 900.0
EPOCHS = 6
RETRIES = 2
CONFIG = """
[study]
name = "light"
epochs_per_trial = {epochs}
tiles_per_epoch = 1
pruner = "{pruner}"
seed = 3
keep = 3
[budget]
trials = {trials}
[data]
phantom = {{ sections = 12, height = 32, width = 32, seed = 1 }}
[split]
gap = 1
[workers]
retries = {retries}
{workers}
[space]
learning_rate = {{ low = 1e-5, high = 1e-1, log = true }}
loss = ["bce", "dice"]
depth = 2
tile_size = 16
"""


class FaultRig:
    """One study in a folder of its own."""

    def __init__(
        self,
        folder: Path,
        *,
        trials: int = 8,
        epochs: int = EPOCHS,
        retries: int = RETRIES,
        workers: str = "",
        pruner: str = "hyperband",
        epoch_seconds: float = 0.3,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.trials, self.epochs, self.retries = folder, trials, epochs, retries
        text = CONFIG.format(
            trials=trials, epochs=epochs, retries=retries, workers=workers, pruner=pruner
        )
        (folder / "light.toml").write_text(text)
        (folder / "faults").mkdir()
        self.environment = {
            **os.environ,
            "LIGHT_EPOCH_SECONDS": str(epoch_seconds),
            # Two trials at a time, however many cores the machine has: Ray's own name for it.
            "RAY_OVERRIDE_RESOURCES": '{"CPU": 2}',
            **(environment or {}),
        }
        self.checkpoints = CheckpointStore(folder / "runs" / "light" / "trials")
        self.process: subprocess.Popen[bytes] | None = None
        self._started: list[subprocess.Popen[bytes]] = []

    def fault(self, trial: int, epoch: int, kind: str) -> None:
        """Asks for something to go wrong in an epoch of a trial, once."""
        (self.folder / "faults" / f"{trial}-{epoch}").write_text(kind)

    def start(self) -> subprocess.Popen[bytes]:
        with self._said.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), "light.toml"],
                cwd=self.folder,
                env=self.environment,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self._started.append(self.process)
        return self.process

    def finish(self, code: int = 0) -> str:
        """Waits for the end of the search, and for nothing that it has left behind."""
        assert self.process is not None
        self.process.wait(timeout=SECONDS)
        out = self._said.read_text()
        assert self.process.returncode == code, out
        return out

    @property
    def _said(self) -> Path:
        return self.folder / "said.txt"

    def run(self, code: int = 0) -> str:
        self.start()
        return self.finish(code)

    def call(self, *arguments: str) -> str:
        """Runs another command beside the search."""
        command = [sys.executable, "-c", "from search.cli import main; main()", *arguments]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def kill(self) -> None:
        """kill -9 of the coordinator; its Ray finds that out by itself."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """Ends what a failed test has left."""
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def wait_until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not reached():
            assert time.monotonic() < deadline, "the search did not come so far"
            assert self.process is None or self.process.poll() is None, self.finish(-1)
            time.sleep(0.05)

    def epochs_written(self) -> int:
        """Checkpoints that lie there now, a sign of progress."""
        return sum(max(self.checkpoints.epochs(n), default=0) for n in self.checkpoints.trials())

    def trials_ended(self) -> int:
        """Trials that are over, of whatever state."""
        return sum(trial.state.is_finished() for trial in self.all_trials())

    def descendants(self, name: str) -> list[psutil.Process]:
        """Processes that the search has started, by a part of their command line."""
        assert self.process is not None
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if name in " ".join(process.cmdline()) or name in process.name():
                    found.append(process)
        return found

    def workers(self) -> list[psutil.Process]:
        return self.descendants("ray::LightRunner")

    @property
    def database(self) -> Database:
        return database_from_environment(self.folder / "runs", self.environment)

    def all_trials(self) -> list[FrozenTrial]:
        storage = open_study_storage(self.database)
        try:
            study_id = storage.get_study_id_from_name("light")
            return storage.get_all_trials(study_id)
        finally:
            storage.remove_session()
            storage.engine.dispose()

    def check(self) -> list[FrozenTrial]:
        """What holds after every search, whatever happened on its way; gives its trials."""
        trials = self.all_trials()
        assert [trial.number for trial in trials] == list(range(len(trials)))
        assert all(trial.state.is_finished() for trial in trials)
        lines = _lines(trials)
        assert len(lines) == self.trials
        for line in lines:
            self._check_line(line)
        self._check_best(trials)
        return trials

    def _check_line(self, line: list[FrozenTrial]) -> None:
        last = line[-1]
        for trial, successor in pairwise(line):
            promoted = "promoted_from" in successor.user_attrs
            assert trial.state is (TrialState.PRUNED if promoted else TrialState.FAIL)
            assert promoted or trial.user_attrs.get("goes_on")
        assert not last.user_attrs.get("goes_on")
        assert int(last.user_attrs.get("attempt", 0)) <= self.retries
        for trial in line:
            steps = list(trial.intermediate_values)
            assert steps == list(range(1, len(steps) + 1))
            for step, value in trial.intermediate_values.items():
                assert math.isclose(value, light_curve(trial.params["learning_rate"], step))
        if last.state is TrialState.COMPLETE:
            assert last.last_step == self.epochs
            assert last.value == last.intermediate_values[self.epochs]

    def _check_best(self, trials: list[FrozenTrial]) -> None:
        """The best model's weights are there, and they are those of its score."""
        complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        best = max(complete, key=lambda trial: trial.value or 0.0)
        checkpoint = self.checkpoints.load(best.number)
        assert checkpoint is not None
        assert checkpoint.epoch == self.epochs
        assert math.isclose(float(checkpoint.arrays["weights"][0]), best.value or 0.0)


def light_curve(learning_rate: float, epoch: int) -> float:
    """That of `light_search`, which Ray must not find here."""
    return (1 - 0.5**epoch) / (1 + abs(math.log10(learning_rate) + 3))


def _lines(trials: list[FrozenTrial]) -> list[list[FrozenTrial]]:
    """Each trial that began anew with those that go on from it, in order."""
    later = [trial for trial in trials if _gone_on_from(trial) is not None]
    successors = {_gone_on_from(trial): trial for trial in later}
    assert len(successors) == len(later), "two go on from the same trial"
    lines = []
    for trial in trials:
        if _gone_on_from(trial) is not None:
            continue
        line = [trial]
        while line[-1].number in successors:
            line.append(successors[line[-1].number])
        lines.append(line)
    assert sum(map(len, lines)) == len(trials)
    return lines


def _gone_on_from(trial: FrozenTrial) -> int | None:
    """The trial that was lost, or stopped and promoted later."""
    attributes = trial.user_attrs
    return attributes.get("promoted_from", attributes.get("retried_from"))
