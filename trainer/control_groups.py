"""The kernel's control groups, by which batch systems and containers share a machine out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_OWN_GROUPS = Path("/proc/self/cgroup")


def group_folders(root: Path, controller: str) -> Iterator[Path]:
    """The folder of every group that this process is in: each may have a limit.

    A batch system's job has one of its own below the host's; within a container it is the root.

    Args:
        root: Where the groups are mounted, of the second or of the first version.
        controller: `memory` or `cpu`.
    """
    yield root
    for group in _own_groups(controller):
        names = Path(group).parts[1:]
        # What lies above a container's root cannot be seen from within.
        if ".." not in names:
            yield from (root.joinpath(*names[: end + 1]) for end in range(len(names)))


def _own_groups(controller: str) -> set[str]:
    """As paths below where they are mounted; those of the second version name no controller."""
    with suppress(OSError):
        lines = _OWN_GROUPS.read_text().splitlines()
        parts = [line.split(":", 2) for line in lines]
        return {path for _, kinds, path in parts if not kinds or controller in kinds.split(",")}
    return set()
