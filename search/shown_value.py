"""A value of a dimension as people read it."""

from __future__ import annotations

from typing import Any


def show_value(value: Any) -> str:
    """Four digits of a number that is no whole one, a dash for nothing, and else the word."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
