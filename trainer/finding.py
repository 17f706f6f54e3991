"""What the checks of the data have to say to a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: Its name.
        sections: Where, by number from 0; none where it is the whole volume.
        message: What, where, and what to do, as a sentence for a person.
    """

    check: str
    sections: tuple[int, ...]
    message: str


@dataclass(frozen=True)
class Unchecked:
    """A check that says nothing, for good or ill, since this volume does not allow it.

    Attributes:
        check: Its name, as of its findings.
        reason: Why, to stand behind "not checked: ".
    """

    check: str
    reason: str


def list_sections(sections: Sequence[int]) -> str:
    """Names sections in a sentence, the first few of many."""
    shown = ", ".join(map(str, sections[:8]))
    more = f" and {len(sections) - 8} more" if len(sections) > 8 else ""
    return f"section{'s' if len(sections) > 1 else ''} {shown}{more}"
