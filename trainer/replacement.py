"""A folder that is written whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


def make_room(folder: Path) -> None:
    """Finds out, before hours of work, whether a folder can be written in its place.

    Raises:
        OSError: It cannot.
    """
    target = folder.resolve()
    if target.is_mount():
        raise OSError(errno.EBUSY, "a mount point, which cannot be replaced", str(target))
    if target in (Path.cwd(), *Path.cwd().parents):
        raise OSError(errno.EBUSY, "the folder that this command runs in", str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target.parent))


@contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Gives an empty folder to fill, which takes the place of `folder` in the end.

    Where something goes wrong, the old folder stays and nothing of the new one is left. What a
    killed process has left is cleared, or put back where it is all that there is.
    """
    target = folder.resolve()
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    _clear_up(target)
    try:
        partial.mkdir(parents=True)
        yield partial
        _swap(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _clear_up(target: Path) -> None:
    """Does away with what processes that are gone have left beside the folder."""
    left = re.compile(re.escape(f".{target.name}.") + r"(partial|old)-([0-9]{1,9})")
    beside = list(target.parent.iterdir()) if target.parent.is_dir() else []
    for path in beside:
        found = left.fullmatch(path.name)
        if not found or _is_alive(int(found[2])):
            continue
        if found[1] == "old" and not target.exists():
            # It was killed between its two renames.
            path.rename(target)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(process: int) -> bool:
    """Whether another process has this number, on this machine."""
    # In a container one process after the other has the same number.
    return process != os.getpid() and psutil.pid_exists(process)


def _swap(partial: Path, target: Path) -> None:
    """Renames a finished folder into place; the old one comes back if that fails."""
    old = target.with_name(f".{target.name}.old-{os.getpid()}")
    if target.exists():
        target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
