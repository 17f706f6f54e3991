"""What a person looks at beside a trial: a section, its learning curve, its log."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import optuna

from search import lineage
from search.learning_curve import draw_learning_curve
from search.trial_log import log_path
from storage.artifacts import ArtifactFolder

SECTION = "section.png"
"""Written by the worker after every epoch."""
_CURVE = "learning-curve.svg"
_LOG = "log.txt"
_LOG_BYTES = 1 << 20


class Exhibits:
    """Adds pictures and log to the trials of a study before they are told."""

    def __init__(self, artifacts: ArtifactFolder, logs: Path | None, *, epochs: int) -> None:
        """Adds nothing yet.

        Args:
            artifacts: Where they are kept.
            logs: Folder of the study's logs, where there are any.
            epochs: Of a trial's full budget.
        """
        self._artifacts = artifacts
        self._logs = logs
        self._epochs = epochs

    def add(self, trial: optuna.Trial) -> None:
        """Draws the learning curve, takes a copy of the log, and adds what there is."""
        study, number = trial.study.study_name, trial.number
        reports = trial.storage.get_trial(trial._trial_id).intermediate_values
        if reports:
            curve = draw_learning_curve(
                reports, epochs=self._epochs, title=f"trial {number}: validation Dice"
            )
            self._artifacts.write(study, number, _CURVE, curve.encode())
        if self._logs is not None:
            with suppress(OSError):
                log = _read_end(log_path(self._logs, number))
                self._artifacts.write(study, number, _LOG, log)
        line = (number, *lineage.forerunners(trial.study, trial))
        # Without an epoch of the line, what lies under its number is of a study that was deleted.
        if reports or len(line) > 1:
            self._inherit_section(trial, line)
            self._artifacts.add(trial, SECTION, _CURVE)
        self._artifacts.add(trial, _LOG)

    def _inherit_section(self, trial: optuna.Trial, line: Sequence[int]) -> None:
        """Takes that of its line where the trial itself has done no epoch more."""
        study = trial.study.study_name
        paths = [self._artifacts.path(study, number, SECTION) for number in line]
        drawn = next((path for path in paths if path.is_file()), None)
        if drawn is not None and drawn != paths[0]:
            with suppress(OSError):
                self._artifacts.write(study, trial.number, SECTION, drawn.read_bytes())


def _read_end(path: Path) -> bytes:
    """The whole of a log, or the last mebibyte of one that something has filled."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LOG_BYTES))
        return file.read()
