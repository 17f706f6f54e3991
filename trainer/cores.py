"""The cores that this process may compute on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from trainer.control_groups import group_folders

_UNIFIED = Path("/sys/fs/cgroup")
_OF_FIRST_VERSION = Path("/sys/fs/cgroup/cpu")


def usable_cores() -> int:
    """Cores that affinity and quota leave to this process, at least one.

    A machine of 128 cores of which a batch system or a container grants four has four.
    """
    return max(1, min([_allowed_cores(), *map(int, _quotas())]))


def _allowed_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas() -> Iterator[float]:
    """Cores' worth of time that control groups grant."""
    for folder in group_folders(_UNIFIED, "cpu"):
        # There is no such file, or it says "max".
        with suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            yield int(quota) / int(period)
    for folder in group_folders(_OF_FIRST_VERSION, "cpu"):
        with suppress(OSError, ValueError):
            quota, period = (
                (folder / name).read_text() for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            )
            if int(quota) > 0:  # -1 grants all.
                yield int(quota) / int(period)
