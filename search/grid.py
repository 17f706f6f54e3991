"""Every combination of the dimensions' values, each of them once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from search.plan import Planned
from search.space import Dimension, Space
from trainer.conditions import CONDITIONS, matters

_GOLDEN = (math.sqrt(5) - 1) / 2


class Grid:
    """A plan that holds every combination, in an order that spreads over all of them at once.

    Where a dimension does not matter, its values make no combinations. None is made before it is
    asked for: a grid may hold more than could ever be listed.

    Attributes:
        size: How many combinations there are.
        defaults: A value for each dimension.
    """

    def __init__(self, space: Space, *, seed: int = 0) -> None:
        """Counts the combinations.

        Args:
            space: Whose dimensions are combined.
            seed: Decides which combination is the first.
        """
        self._factors = [_combinations(group, space.fixed) for group in _groups(space)]
        self.size = math.prod(map(len, self._factors))
        self.defaults: Mapping[str, Any] = {each.name: each.middle() for each in space.dimensions}
        self._first = seed % self.size
        self._stride = _stride(self.size)

    def entry(self, index: int) -> Planned:
        """The combination at a place of the plan, from 0 to below its size."""
        rest, params = (self._first + index * self._stride) % self.size, {}
        for factor in self._factors:
            rest, place = divmod(rest, len(factor))
            params.update(factor[place])
        return Planned(params)


def grid_values(dimension: Dimension) -> list[Any]:
    """Every choice, or a range's points in even steps on its own scale, ends included."""
    low, high, last = dimension.low, dimension.high, dimension.points - 1
    if low is None or high is None:
        return list(dimension.choices)
    between = [
        low * (high / low) ** (n / last) if dimension.log else low + (high - low) * n / last
        for n in range(1, last)
    ]
    return list(dict.fromkeys([low, *map(dimension.nearest, between), high]))


def _groups(space: Space) -> list[list[Dimension]]:
    """The dimensions, those together of which one decides whether the other matters."""
    groups: list[list[Dimension]] = []
    for dimension in space.in_order():
        deciding = CONDITIONS.get(dimension.name, {}).keys()
        # All that it depends on stands before it.
        tied = [group for group in groups if any(each.name in deciding for each in group)]
        groups = [group for group in groups if group not in tied]
        groups.append([*(each for group in tied for each in group), dimension])
    return groups


def _combinations(group: Sequence[Dimension], fixed: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{}]
    for dimension in group:
        found = [
            {**params, **added}
            for params in found
            for added in _additions(dimension, {**fixed, **params})
        ]
    return found


def _additions(dimension: Dimension, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not matters(dimension.name, values):
        return [{}]
    return [{dimension.name: value} for value in grid_values(dimension)]


def _stride(size: int) -> int:
    """Steps that come to every place once, and lie far apart at every time."""
    stride = max(1, round(size * _GOLDEN))
    while math.gcd(stride, size) != 1:
        stride += 1
    return stride
