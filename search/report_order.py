"""The values of a dimension in an order that means something."""

from __future__ import annotations

from typing import Any

from search.space import Dimension


def is_ordered(dimension: Dimension) -> bool:
    """Whether its values are numbers: a range, or a list of nothing else."""
    numbers = (isinstance(each, int | float) for each in dimension.choices)
    return all(numbers) and not any(isinstance(each, bool) for each in dimension.choices)


def choices_in_order(dimension: Dimension) -> tuple[Any, ...]:
    """Numbers by their size, however the config lists them; words as it does."""
    if is_ordered(dimension):
        return tuple(sorted(dimension.choices))
    return dimension.choices


def list_values(dimension: Dimension) -> tuple[Any, ...] | None:
    """All that a run may have, in their order; None of a range of real numbers."""
    if dimension.choices:
        return choices_in_order(dimension)
    if isinstance(dimension.low, int) and isinstance(dimension.high, int):
        return dimension.every()
    if dimension.step is None or dimension.low is None or dimension.high is None:
        return None
    steps = round((dimension.high - dimension.low) / dimension.step)
    return tuple(dimension.low + index * dimension.step for index in range(steps + 1))
