"""Whether the best runs crowd at an edge of the space, where better ones may lie beyond."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search.curves import position
from search.plan import CHANGE
from search.report_order import choices_in_order, is_ordered, list_values
from search.report_runs import Run, best_first
from search.space import Dimension, Space

_BEST_SHARE, _LEAST, _MOST = 0.1, 3, 10
_EDGE = 0.1
_CROWD = 2 / 3
# Of two values each is an end, and half of all runs lie there.
_LEAST_VALUES = 3
# What chance may do to each end, shared among the dimensions: on five pages one false alarm.
_CHANCE = 0.1


@dataclass(frozen=True)
class Edge:
    """An end of a dimension that the best runs crowd at.

    Attributes:
        name: Of the dimension.
        end: `low` or `high`.
        bound: The value there.
        crowded: How many of the best runs lie within a tenth of the dimension from it.
        best: How many runs were looked at.
        expected: How many would lie there by chance.
    """

    name: str
    end: str
    bound: float
    crowded: int
    best: int
    expected: float


@dataclass(frozen=True)
class EdgeCheck:
    """What the best runs tell of the ends of the dimensions.

    Attributes:
        edges: Those that they crowd at.
        told: Names of the dimensions that they tell something of.
        untold: Names of those that they are too few for.
    """

    edges: Sequence[Edge] = ()
    told: Sequence[str] = ()
    untold: Sequence[str] = ()


@dataclass(frozen=True)
class _End:
    name: str
    bound: float
    chance: float
    crowded: int


def check_edges(runs: Sequence[Run], space: Space) -> EdgeCheck:
    """Finds ends near which two in three of the best runs lie, and more than by chance.

    The best are a tenth of those at full budget, at least 3 and at most 10 (the boundary check
    of the Deep Learning Tuning Playbook, Godbole et al. 2023). Ideas of the config do not count:
    all but one of their values are those of the baseline, which may lie at an end itself. By
    chance a run has any value as likely as another; as many as there are must be too many for
    that (a binomial test, stricter the more dimensions there are).

    Args:
        runs: Of a study.
        space: That they are of. Ranges and lists of numbers have ends, from 3 values on.
    """
    ranked = best_first([run for run in runs if CHANGE not in run.facts])
    best = ranked[: min(_MOST, max(_LEAST, round(_BEST_SHARE * len(ranked))))]
    dimensions = [each for each in space.dimensions if _has_ends(each)]
    edges: list[Edge] = []
    told: dict[str, bool] = {}
    for each in dimensions:
        values = _values(each, best)
        ends, level = _ends(each, values), _CHANCE / len(dimensions)
        told[each.name] = _can_tell(ends, len(values), level)
        edges += [_edge(each, end, len(values)) for end in ends if _crowds(end, values, level)]
    return EdgeCheck(
        edges, [name for name in told if told[name]], [name for name in told if not told[name]]
    )


def _has_ends(dimension: Dimension) -> bool:
    values = list_values(dimension) if is_ordered(dimension) else ()
    return values is None or len(values) >= _LEAST_VALUES


def _values(dimension: Dimension, runs: Sequence[Run]) -> list[Any]:
    """What the runs have in a dimension, as far as the space still lists it."""
    values = [run.params[dimension.name] for run in runs if dimension.name in run.params]
    return [value for value in values if not dimension.choices or value in dimension.choices]


def _ends(dimension: Dimension, values: Sequence[Any]) -> tuple[_End, _End]:
    places = [_place(dimension, value) for value in values]
    # From the other end, both are the low one.
    flipped = [1 - place for place in places]
    low, high = _bounds(dimension)
    return (
        _End("low", low, _chance(dimension, from_top=False), _count_near(places)),
        _End("high", high, _chance(dimension, from_top=True), _count_near(flipped)),
    )


def _bounds(dimension: Dimension) -> tuple[Any, Any]:
    listed = choices_in_order(dimension)
    return (listed[0], listed[-1]) if listed else (dimension.low, dimension.high)


def _place(dimension: Dimension, value: Any) -> float:
    """From 0 to 1: in a range on its own scale, in a list by rank."""
    listed = choices_in_order(dimension)
    return listed.index(value) / (len(listed) - 1) if listed else position(dimension, value)


def _count_near(places: Sequence[float]) -> int:
    return sum(place <= _EDGE + 1e-9 for place in places)


def _chance(dimension: Dimension, *, from_top: bool) -> float:
    """How likely a run lies near an end if every value is as good as another."""
    values = list_values(dimension)
    if values is None:
        return _EDGE
    places = [_place(dimension, value) for value in values]
    weights = [_weight(dimension, value) for value in values]
    near = [_count_near([1 - place if from_top else place]) for place in places]
    return sum(w * at for w, at in zip(weights, near, strict=True)) / sum(weights)


def _weight(dimension: Dimension, value: Any) -> float:
    """Whole numbers on a logarithmic scale have the width that rounds to them."""
    return math.log((value + 0.5) / (value - 0.5)) if dimension.log else 1.0


def _can_tell(ends: Sequence[_End], best: int, level: float) -> bool:
    """Whether it would be no chance if all of them were at one end."""
    return best >= _LEAST and all(end.chance**best <= level for end in ends)


def _crowds(end: _End, values: Sequence[Any], level: float) -> bool:
    count = len(values)
    if count < _LEAST or end.crowded < _CROWD * count:
        return False
    return _tail(count, end.crowded, end.chance) <= level


def _tail(count: int, least: int, chance: float) -> float:
    """How likely at least so many of a count are near an end."""
    return sum(
        math.comb(count, hits) * chance**hits * (1 - chance) ** (count - hits)
        for hits in range(least, count + 1)
    )


def _edge(dimension: Dimension, end: _End, best: int) -> Edge:
    return Edge(dimension.name, end.name, end.bound, end.crowded, best, end.chance * best)
