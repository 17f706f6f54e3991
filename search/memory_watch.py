"""A worker's memory: its limit, and a record of it that outlives the process."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from trainer.device import Device

_GB = 1e9
_INTERVAL_SECONDS = 0.25
_RECORD_BYTES = 256
_EXIT_CODE = 77
_NEAR = 0.9
_HOST_FULL = 0.05
_WORN = 0.6
_GROWN = 3.0
_GROWN_BYTES = 2_000_000_000


@dataclass(frozen=True)
class MemoryRecord:
    """What a worker used when it last looked.

    Attributes:
        trial: That it was running.
        memory: Bytes of its own.
        limit: What it may use.
        host_free: Share of the host's memory that was free.
        cpu_seconds: That it has computed for since it began.
    """

    trial: int | None
    memory: int
    limit: int | None
    host_free: float
    cpu_seconds: float = 0.0

    def explain_death(self) -> str | None:
        """Why the worker is gone, in one line, if its memory is the likely cause."""
        if self.limit is None:
            full = self.host_free <= _HOST_FULL
            return f"{self._used()} when its host had no more" if full else None
        if self.memory < _NEAR * self.limit:
            return None
        return (
            f"{self._used()} of its limit of {self.limit / _GB:.2f} GB; "
            "a smaller batch, tile or network needs less"
        )

    def _used(self) -> str:
        return f"the worker used {self.memory / _GB:.2f} GB"


class MemoryWatch:
    """Looks at this process's memory several times a second, and ends it beyond its limit.

    Without a limit it keeps the record alone.
    """

    def __init__(self, path: Path, limit: int | None) -> None:
        self._trial: int | None = None
        self._path = path
        self._limit = limit
        self._file: int | None = None

    def start(self) -> None:
        """Watches from now on, until the process ends."""
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o644)
        self.look()
        threading.Thread(target=self._run, name="memory-watch", daemon=True).start()

    def begin(self, trial: int) -> None:
        """Keeps the record for this trial from now on."""
        self._trial = trial
        self.look()

    def look(self) -> MemoryRecord:
        """Writes the record anew."""
        memory = resident_bytes()
        host = psutil.virtual_memory()
        free = round(host.available / host.total, 3)
        computed = round(time.process_time(), 2)
        record = MemoryRecord(self._trial, memory, self._limit, free, computed)
        if self._file is not None:
            line = json.dumps(asdict(record)).ljust(_RECORD_BYTES).encode()
            # One small write in place is whole or not there, whenever the process is killed.
            with suppress(OSError):
                os.pwrite(self._file, line, 0)
        return record

    def _run(self) -> None:
        while True:
            record = self.look()
            if record.limit is not None and record.memory > record.limit:
                # No clean-up: what is in the way of memory can be in the way of that as well.
                os._exit(_EXIT_CODE)
            time.sleep(_INTERVAL_SECONDS)


def read_memory_record(path: Path) -> MemoryRecord | None:
    """The last record of a worker; None where it cannot be read, as on another node's disk."""
    try:
        return MemoryRecord(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def forget_memory_records(folder: Path) -> None:
    """Deletes what workers of an earlier coordinator have left."""
    with suppress(OSError):
        for path in folder.glob("*.json"):
            path.unlink(missing_ok=True)


def resident_bytes() -> int:
    """Memory that this process has for itself: a volume that workers share is nobody's own."""
    info = psutil.Process().memory_info()
    return int(info.rss - getattr(info, "shared", 0))


def room_bytes(limit: int | None, device: Device) -> int | None:
    """Memory that a worker can train in at the most; None where nobody knows.

    Args:
        limit: What it may use of its host's memory; all of it without one.
        device: That it trains on. A GPU has its own memory.
    """
    if device.kind == "gpu":
        return device.memory_bytes
    return int(psutil.virtual_memory().total) if limit is None else limit


def is_worn(memory: int, *, after_first: int, limit: int | None) -> bool:
    """Whether a worker keeps so much memory between trials that a new one should take its place.

    Args:
        memory: What it uses now that its last trial is gone.
        after_first: What it used when its first trial was gone.
        limit: What it may use.
    """
    if limit is not None:
        return memory > _WORN * limit
    return memory > max(_GROWN * after_first, after_first + _GROWN_BYTES)
