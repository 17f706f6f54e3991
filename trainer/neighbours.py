"""The sections that a network sees besides the one it segments."""

from __future__ import annotations

from collections.abc import Sequence


def neighbours(section: int, offsets: Sequence[int], block: Sequence[int]) -> list[int]:
    """The sections at some distances from one, in their order.

    Beyond the ends of the block the last section is repeated: a training tile never sees a section
    that it is not allowed to learn from.

    Args:
        section: The one to segment.
        offsets: How far above it the others lie, below it where that is less than 0.
        block: Sections from which to which it may see.
    """
    first, last = min(block), max(block)
    return [min(max(section + offset, first), last) for offset in offsets]


def describe_offsets(offsets: Sequence[int]) -> str:
    """Says which sections a network sees as its channels."""
    if len(offsets) == 1:
        return "one section"
    distances = ", ".join(f"{offset:+d}" if offset else "0" for offset in offsets)
    return f"{len(offsets)} sections as channels, at {distances} from the one to segment"
