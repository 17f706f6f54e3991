"""The log of each trial, in a file of its own."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

_LONGEST_LINE = 2000
_MOST_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 14


class TrialLog:
    """Appends lines to `folder/00012.log`, each with its time, study, trial and epoch.

    A log never fails a trial: what cannot be written is left out.
    """

    def __init__(self, folder: Path | None, study: str) -> None:
        """Prepares the logs of a study.

        Args:
            folder: Without it nothing is written.
            study: Its name.
        """
        self._folder = folder
        self._study = study

    def write(self, trial: int, epoch: int, text: str) -> None:
        """Appends a line, or one for each line of the text.

        Args:
            trial: Its number.
            epoch: Epochs that it has done.
            text: What there is to say.
        """
        if self._folder is None:
            return
        now = datetime.now().astimezone().isoformat(timespec="milliseconds")
        prefix = f"{now} {self._study} trial {trial} epoch {epoch}: "
        lines = [prefix + line.rstrip()[:_LONGEST_LINE] for line in text.splitlines() or [""]]
        with suppress(OSError):
            _append(log_path(self._folder, trial), "\n".join(lines) + "\n")

    @contextmanager
    def capturing(self, trial: int, epoch: Callable[[], int]) -> Iterator[None]:
        """Takes along what is warned of and logged by Python inside the block."""
        handler = _Handler(lambda text: self.write(trial, epoch(), text))
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
            where = f" ({place[0]}:{place[1]})" if len(place) > 1 else ""
            self.write(trial, epoch(), f"{category.__name__}: {message}{where}")
            shown(message, category, *place)

        warnings.showwarning = show  # type: ignore[assignment]
        logging.getLogger().addHandler(handler)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(handler)
            warnings.showwarning = shown


def read_log_tail(folder: Path, trial: int, *, lines: int) -> list[str]:
    """The last lines of a trial's log, without reading all of it; none where there is no log.

    Args:
        folder: Of the study's logs.
        trial: Its number.
        lines: How many at most.
    """
    tail = b""
    try:
        with log_path(folder, trial).open("rb") as file:
            position = file.seek(0, os.SEEK_END)
            while position and tail.count(b"\n") <= lines and len(tail) < _MOST_BYTES:
                step = min(_BLOCK_BYTES, position)
                position = file.seek(position - step)
                tail = file.read(step) + tail
    except OSError:
        return []
    return tail.decode(errors="replace").splitlines()[-lines:] if lines > 0 else []


class _Handler(logging.Handler):
    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(f"{record.levelname} {record.name}: {record.getMessage()}")
        except Exception:
            # A message that cannot be formatted is the business of whoever logged it.
            self.handleError(record)


def log_path(folder: Path, trial: int) -> Path:
    """Where the log of a trial lies."""
    return folder / f"{trial:05d}.log"


def _append(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        # In one piece: a coordinator may add why the worker was lost.
        os.write(handle, text.encode(errors="replace"))
    finally:
        os.close(handle)
