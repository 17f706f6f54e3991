"""A worker's memory is limited, and its record tells of it afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from search.memory_watch import (
    MemoryRecord,
    MemoryWatch,
    is_worn,
    read_memory_record,
    resident_bytes,
)
from trainer.freed_memory import return_freed_memory

GB = 10**9
PROGRAM = """
import sys, time
from pathlib import Path
from search.memory_watch import MemoryWatch, resident_bytes
watch = MemoryWatch(Path(sys.argv[1]), resident_bytes() + 100_000_000)
watch.start()
watch.begin(12)
hoard = []
while len(hoard) < 200:
    hoard.append(b"x" * 10_000_000)
    time.sleep(0.05)
"""


def test_a_process_beyond_its_limit_ends_and_leaves_a_record(tmp_path: Path) -> None:
    path = tmp_path / "workers" / "a.json"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 77
    record = read_memory_record(path)
    assert record is not None
    assert record.trial == 12
    assert record.limit is not None
    assert record.memory > record.limit
    assert record.explain_death() is not None


def test_a_record_is_of_the_trial_that_runs(tmp_path: Path) -> None:
    watch = MemoryWatch(tmp_path / "a.json", None)
    watch.start()
    hoard = bytearray(b"x" * 200_000_000)
    before = watch.look()
    del hoard
    # What an earlier test configured may keep it for this process.
    return_freed_memory()
    watch.begin(3)
    record = read_memory_record(tmp_path / "a.json")
    assert record is not None
    assert (before.trial, record.trial) == (None, 3)
    assert record.memory < before.memory


def test_a_record_that_cannot_be_written_or_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    watch = MemoryWatch(tmp_path / "file" / "a.json", None)
    watch.start()
    assert read_memory_record(tmp_path / "file" / "a.json") is None
    assert read_memory_record(tmp_path / "file") is None


@pytest.mark.parametrize(
    ("memory", "limit", "host_free", "told"),
    [
        (8.9 * GB, 10 * GB, 0.5, None),
        (9.1 * GB, 10 * GB, 0.5, "used 9.10 GB of its limit of 10.00 GB"),
        (9.1 * GB, None, 0.5, None),
        (9.1 * GB, None, 0.04, "used 9.10 GB when its host had no more"),
    ],
)
def test_a_death_near_the_limit_is_explained(
    memory: float, limit: int | None, host_free: float, told: str | None
) -> None:
    record = MemoryRecord(0, int(memory), limit, host_free)
    explained = record.explain_death()
    assert (explained is None) == (told is None)
    assert told is None or told in (explained or "")


@pytest.mark.parametrize(
    ("memory", "after_first", "limit", "worn"),
    [
        (7 * GB, 1 * GB, 10 * GB, True),
        (5 * GB, 1 * GB, 10 * GB, False),
        (2 * GB, GB // 2, None, False),
        (5 * GB, 2 * GB, None, False),
        (7 * GB, 2 * GB, None, True),
    ],
)
def test_a_worker_is_worn_that_keeps_too_much(
    memory: int, after_first: int, limit: int | None, worn: bool
) -> None:
    assert is_worn(memory, after_first=after_first, limit=limit) is worn


def test_memory_that_is_shared_is_nobodys_own(tmp_path: Path) -> None:
    from multiprocessing.shared_memory import SharedMemory

    written = b"x" * 200_000_000
    before = resident_bytes()
    shared = SharedMemory(create=True, size=200_000_000)
    try:
        assert shared.buf is not None
        shared.buf[:] = written
        assert resident_bytes() - before < 100_000_000
    finally:
        shared.close()
        shared.unlink()
