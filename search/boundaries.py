"""Whether the best runs crowd at an edge of the space, where better ones may lie beyond."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.curves import position
from search.report_runs import Run, best_first
from search.space import Dimension, Space

_BEST_SHARE, _LEAST, _MOST = 0.1, 3, 10
_EDGE = 0.1
_CROWD = 2 / 3


@dataclass(frozen=True)
class Edge:
    """An end of a range that the best runs crowd at.

    Attributes:
        name: Of the dimension.
        end: `low` or `high`.
        bound: The value there.
        crowded: How many of the best runs lie within a tenth of the range from it.
        best: How many runs were looked at.
    """

    name: str
    end: str
    bound: float
    crowded: int
    best: int


def find_crowded_edges(runs: list[Run], space: Space) -> list[Edge]:
    """Ends of ranges near which two in three of the best runs lie.

    The best are a tenth of those at full budget, at least 3 and at most 10 (the boundary check
    of the Deep Learning Tuning Playbook, Godbole et al. 2023).
    """
    ranked = best_first(runs)
    best = ranked[: min(_MOST, max(_LEAST, round(_BEST_SHARE * len(ranked))))]
    if len(best) < _LEAST:
        return []
    ranges = [each for each in space.dimensions if not each.choices]
    return [edge for each in ranges for edge in _edges(each, best)]


def _edges(dimension: Dimension, best: Sequence[Run]) -> list[Edge]:
    name = dimension.name
    places = [position(dimension, run.params[name]) for run in best if name in run.params]
    if len(places) < _LEAST or dimension.low is None or dimension.high is None:
        return []
    low, high = sum(at <= _EDGE for at in places), sum(at >= 1 - _EDGE for at in places)
    counts = (("low", dimension.low, low), ("high", dimension.high, high))
    return [
        Edge(name, end, bound, crowded, len(places))
        for end, bound, crowded in counts
        if crowded >= _CROWD * len(places)
    ]
