"""Whether an array that a file's header claims can be held at all."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from trainer.control_groups import group_folders
from trainer.errors import InputError
from trainer.freed_memory import return_freed_memory

_GB = 1e9
_ADVICE = "cut out a smaller volume, or use a machine with more memory"
_CGROUP_FILES = (
    (
        Path("/sys/fs/cgroup"),
        "memory.max",
        "memory.current",
        ("inactive_file", "active_file"),
    ),
    (
        Path("/sys/fs/cgroup/memory"),
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
)
"""Where a container's limit is, what it uses of it, and what of that are cached files."""


def free_memory() -> int:
    """Bytes that this process can still take: of the machine, its container and its own limits."""
    # What it has freed and kept counts as free.
    return_freed_memory()
    return max(0, min([int(psutil.virtual_memory().available), *_left_of_limits()]))


def check_memory(nbytes: int, advice: str = _ADVICE) -> None:
    """Refuse an array of so many bytes where the machine has not that much memory free.

    Args:
        nbytes: bytes that are needed.
        advice: what the user can do about it.

    Raises:
        InputError: there is less.
    """
    free = free_memory()
    if nbytes > free:
        raise InputError(
            f"needs {nbytes / _GB:,.1f} GB of memory and {free / _GB:,.1f} GB are free; {advice}"
        )


def check_ratio(nbytes: int, file_bytes: int, most: float) -> None:
    """Refuse a header that claims more than a file of that length can hold.

    Args:
        nbytes: bytes of the array that the header claims.
        file_bytes: length of the file.
        most: how many times its own length the file's compression can hold at best.
    """
    if nbytes > most * file_bytes:
        raise InputError(
            f"its header claims {nbytes:,} bytes of image and the whole file has {file_bytes:,}; "
            "it is truncated or damaged: copy or export it again"
        )


def _left_of_limits() -> Iterator[int]:
    used = psutil.Process().memory_info()
    taken = {"RLIMIT_AS": used.vms, "RLIMIT_DATA": getattr(used, "data", used.rss)}
    for name, so_much in taken.items():
        limit, _ = resource.getrlimit(getattr(resource, name))
        if limit != resource.RLIM_INFINITY:
            yield limit - so_much
    yield from _left_of_container()


def _left_of_container() -> Iterator[int]:
    """By cgroups of the second and of the first version."""
    for root, limit_file, used_file, cached in _CGROUP_FILES:
        for folder in group_folders(root, "memory"):
            # There is no such file, or it says "max".
            with suppress(OSError, ValueError):
                limit = int((folder / limit_file).read_text())
                yield limit - int((folder / used_file).read_text()) + _cached(folder, cached)


def _cached(folder: Path, names: tuple[str, str]) -> int:
    """Bytes of files that were read, which the kernel drops where memory is asked for."""
    lines = map(str.split, (folder / "memory.stat").read_text().splitlines())
    return sum(int(value) for name, value in lines if name in names)
