"""Charts of two dimensions at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection

from search.report_axes import place, scale_axis
from search.report_order import choices_in_order, list_values
from search.report_runs import Run
from search.space import Dimension
from trainer.chart import INK, MUTED, open_panels

LEAST_FOR_MAP = 20
"""Fewer runs leave a map with holes and cells of one run each."""
Pair = tuple[Dimension, Dimension]

_COLOURS = "viridis"
_PAPER = "#ffffff"
_LEAST_CELLS, _MOST_CELLS = 3, 6
_RUNS_IN_A_CELL = 4


def with_both(runs: Sequence[Run], pair: Pair) -> list[Run]:
    """The runs that have a Dice, and values in both dimensions."""
    names = {each.name for each in pair}
    return [run for run in runs if run.last is not None and names <= run.params.keys()]


def draw_pairs(runs: Sequence[Run], pairs: Sequence[Pair]) -> bytes:
    """Dice as colour over two dimensions at a time."""
    with open_panels(len(pairs), columns=2, height=3.0) as panels:
        for axes, pair in zip(panels.axes, pairs, strict=True):
            _scatter(axes, runs, pair)
    return panels.svg


def draw_map(runs: Sequence[Run], pair: Pair) -> bytes:
    """The runs over two dimensions, and beside them the mean Dice of each part of the plane.

    A map of means and no contours through the runs themselves: these differ by their other
    dimensions as well, and contours would go up and down with each of them.
    """
    with open_panels(2, columns=2, height=3.2) as panels:
        _scatter(panels.axes[0], runs, pair)
        _map(panels.axes[1], runs, pair)
    return panels.svg


def _scatter(axes: Axes, runs: Sequence[Run], pair: Pair) -> None:
    both = with_both(runs, pair)
    low, high = _limits(runs)
    x, y = _places(both, pair)
    dice = [run.last or 0.0 for run in both]
    points = axes.scatter(
        x, y, c=dice, cmap=_COLOURS, vmin=low, vmax=high, s=36, edgecolors=MUTED, linewidths=0.4
    )
    _finish(axes, pair, points, "Dice")


def _map(axes: Axes, runs: Sequence[Run], pair: Pair) -> None:
    both = with_both(runs, pair)
    low, high = _limits(runs)
    sides = tuple(_cells(each, len(both)) for each in pair)
    counts, means = _binned(both, pair, sides)
    cells = axes.pcolormesh(
        *sides, means.T, cmap=_COLOURS, vmin=low, vmax=high, edgecolors=_PAPER, linewidth=1
    )
    axes.grid(visible=False)
    _finish(axes, pair, cells, "mean Dice of the runs in a cell")
    # Whole cells, and nothing beside them.
    axes.set_xlim(sides[0][0], sides[0][-1])
    axes.set_ylim(sides[1][0], sides[1][-1])
    x, y = (_centres(each, side).tolist() for each, side in zip(pair, sides, strict=True))
    for (column, row), count in np.ndenumerate(counts):
        if count:
            # Of the colours, the darker half is that of the lower values.
            ink = _PAPER if means[column, row] < (low + high) / 2 else INK
            axes.text(
                x[column], y[row], f"{count:.0f}", color=ink, size=7, ha="center", va="center"
            )


def _finish(axes: Axes, pair: Pair, colours: Collection, label: str) -> None:
    scale_axis(axes, pair[0], "x")
    scale_axis(axes, pair[1], "y")
    if axes.figure is not None:
        axes.figure.colorbar(colours, ax=axes, label=label)


def _limits(runs: Sequence[Run]) -> tuple[float, float]:
    """Of all runs, so that a colour is the same Dice everywhere."""
    dice = [run.last for run in runs if run.last is not None]
    return min(dice), max(dice)


def _places(runs: Sequence[Run], pair: Pair) -> list[np.ndarray]:
    return [np.array([place(each, run.params[each.name]) for run in runs]) for each in pair]


def _binned(
    runs: Sequence[Run], pair: Pair, sides: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ma.MaskedArray]:
    """How many runs each cell has, and the mean of their Dice."""
    # What the space has no more lies in none.
    x, y = _places(runs, pair)
    counts, *_ = np.histogram2d(x, y, bins=list(sides))
    sums, *_ = np.histogram2d(x, y, bins=list(sides), weights=[run.last or 0.0 for run in runs])
    empty = counts == 0
    return counts, np.ma.masked_array(sums / np.maximum(counts, 1), mask=empty)


def _cells(dimension: Dimension, runs: int) -> np.ndarray:
    """Edges of the cells along an axis: one for each of a few values, else of equal width."""
    if dimension.choices:
        return np.arange(len(choices_in_order(dimension)) + 1) - 0.5
    low, high, values = (
        float(dimension.low or 0),
        float(dimension.high or 0),
        list_values(dimension),
    )
    if values and not dimension.log:
        half = (values[1] - values[0]) / 2
        low, high = low - half, high + half
    few = values is not None and len(values) <= _MOST_CELLS and not dimension.log
    wanted = len(values) if values and few else _count_cells(runs)
    spaced = np.geomspace if dimension.log else np.linspace
    return np.asarray(spaced(low, high, wanted + 1))


def _count_cells(runs: int) -> int:
    """Along each of two axes, so that a cell has a few runs if they lie evenly."""
    wanted = math.isqrt(runs // _RUNS_IN_A_CELL)
    return min(_MOST_CELLS, max(_LEAST_CELLS, wanted))


def _centres(dimension: Dimension, edges: np.ndarray) -> np.ndarray:
    before, after = edges[:-1], edges[1:]
    centres: np.ndarray = np.sqrt(before * after) if dimension.log else (before + after) / 2
    return centres
