"""The shape of an array, for people."""

from __future__ import annotations

from collections.abc import Sequence


def shown(shape: Sequence[int]) -> str:
    """A shape as people write it."""
    return " x ".join(map(str, shape))
