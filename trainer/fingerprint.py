"""Whether a volume is still the one that was read before, without reading all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trainer.formats import locate
from trainer.sections import Sections


def fingerprint(path: Path, sections: Sections) -> dict[str, Any]:
    """What tells a volume from another one at the same path, as JSON.

    It is the time of the last change, the number and the length of its files, and the values of
    three sections.

    Args:
        path: As `open_source` takes it.
        sections: Of the volume there.
    """
    stats = [each.stat() for each in _files(locate(path)[0])]
    return {
        "path": str(path.resolve()),
        "files": len(stats),
        "bytes": sum(each.st_size for each in stats),
        "changed_ns": max((each.st_mtime_ns for each in stats), default=None),
        "sha256": _digest(sections),
    }


def _files(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from (each for each in place.rglob("*") if each.is_file())
    else:
        yield place


def _digest(sections: Sections) -> str:
    """Of the first, the middle and the last section."""
    digest = hashlib.sha256()
    for number in sorted({0, len(sections) // 2, len(sections) - 1}):
        digest.update(np.ascontiguousarray(sections[number]).data)
    return digest.hexdigest()
