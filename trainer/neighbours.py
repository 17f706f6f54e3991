"""The sections that a network sees besides the one it segments."""

from __future__ import annotations

from collections.abc import Sequence


def neighbours(section: int, count: int, block: Sequence[int]) -> list[int]:
    """So many sections around one, itself in the middle, in their order.

    Beyond the ends of the block the last section is repeated: a training tile never sees a section
    that it is not allowed to learn from.

    Args:
        section: The one to segment.
        count: An odd number.
        block: Sections from which to which it may see.
    """
    reach = count // 2
    first, last = min(block), max(block)
    return [min(max(near, first), last) for near in range(section - reach, section + reach + 1)]
