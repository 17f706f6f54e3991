"""The log of each trial, in a file of its own."""

from __future__ import annotations

from pathlib import Path

_TAIL_BYTES = 64 * 1024


def read_log_tail(folder: Path, trial: int, *, lines: int) -> list[str]:
    """The last lines of a trial's log; none where there is no log."""
    try:
        with (folder / f"{trial:05d}.log").open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()[-lines:]
    except OSError:
        return []
