"""Charts as SVG, drawn by matplotlib without a screen."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, BLUE, RED, GOLD = "#1d2530", "#8a94a0", "#2f6fd6", "#d43d3d", "#c98a00"

_STYLE: Any = {
    "font.size": 11,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6eaee",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    # The same chart is the same file.
    "svg.hashsalt": "unet-search",
}


class Chart:
    """A chart of one pair of axes.

    Attributes:
        axes: To draw on.
        svg: What came out, once `open_chart` is left.
    """

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.svg = b""


class Panels:
    """Several pairs of axes beside each other.

    Attributes:
        axes: To draw on, row by row.
        svg: What came out, once `open_panels` is left.
    """

    def __init__(self, axes: list[Axes]) -> None:
        self.axes = axes
        self.svg = b""


@contextmanager
def open_panels(count: int, *, columns: int = 3, height: float = 2.6) -> Iterator[Panels]:
    """Gives small charts to draw on, in the style of all pages.

    Args:
        count: Of the charts.
        columns: Beside each other.
        height: Of each, in inches of 72 points.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    with mpl.rc_context({**_STYLE, "font.size": 9}):
        figure = Figure(figsize=(3.2 * columns, height * rows), layout="constrained")
        panels = Panels([figure.add_subplot(rows, columns, index + 1) for index in range(count)])
        for axes in panels.axes:
            axes.set_axisbelow(True)
        yield panels
        panels.svg = _save(figure)


@contextmanager
def open_chart(x: str, y: str, *, width: float = 9.0, height: float = 3.4) -> Iterator[Chart]:
    """Gives a chart to draw on, in the style of all pages.

    Args:
        x: Label of the horizontal axis, with its unit.
        y: The same of the vertical one.
        width: In inches of 72 points.
        height: The same.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        chart = Chart(figure.add_subplot())
        chart.axes.set_axisbelow(True)
        chart.axes.set_xlabel(x)
        chart.axes.set_ylabel(y)
        yield chart
        chart.svg = _save(figure)


def _save(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
