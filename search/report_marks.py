"""The marks of runs in charts: each way in which they ended has its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from search.report_runs import Run
from trainer.chart import BLUE, INK, MUTED, RED

_DONE, _STOPPED = "trained to its end", "stopped before its end"
_INFEASIBLE, _FAILED = "infeasible", "failed"
_STYLES: Mapping[str, Mapping[str, Any]] = {
    _DONE: {"facecolors": BLUE, "edgecolors": BLUE, "zorder": 4},
    _STOPPED: {"facecolors": "none", "edgecolors": MUTED, "zorder": 3},
    _INFEASIBLE: {"marker": "x", "color": RED, "zorder": 3},
    _FAILED: {"marker": "v", "facecolors": "none", "edgecolors": INK, "zorder": 3},
}
# Below the scale of Dice: height of the strip, and the rows in it, as shares of the axes.
_STRIP = 0.16
_ROWS: Mapping[str, float] = {_INFEASIBLE: 0.11, _FAILED: 0.05}
_KEY_INCHES = 1.6
_SHADE = "#f3f5f7"


def mark_runs(
    axes: Axes, runs: Sequence[Run], at: Callable[[Run], float], *, size: float
) -> dict[str, Artist]:
    """Draws every run at its Dice, or in a strip at the foot where it ended without one.

    Args:
        axes: With the limits of its horizontal axis set: what lies at the foot does not widen it.
        runs: To draw. One that was stopped or is running without a Dice is left out.
        at: Where a run lies on the horizontal axis.
        size: Of a mark.

    Returns:
        A mark of every kind that was drawn, for a legend.
    """
    kinds = {name: [run for run in runs if _kind(run) == name] for name in _STYLES}
    legend: dict[str, Artist] = {}
    for name, some in kinds.items():
        scored = [run for run in some if run.last is not None]
        if scored:
            y = [run.last or 0.0 for run in scored]
            legend[name] = axes.scatter([at(run) for run in scored], y, s=size, **_STYLES[name])
    without = {name: [run for run in kinds[name] if run.last is None] for name in _ROWS}
    if any(without.values()):
        _lay_strip(axes)
    across = axes.get_xaxis_transform()
    for name, some in without.items():
        if some:
            x, y = [at(run) for run in some], [_ROWS[name]] * len(some)
            marks = axes.scatter(x, y, s=size, transform=across, **_STYLES[name])
            legend.setdefault(name, marks)
    return {name: legend[name] for name in _STYLES if name in legend}


def name_marks(axes: Axes, marks: Mapping[str, Artist]) -> None:
    """Adds the legend below all of the figure, where no run lies."""
    figure = axes.get_figure(root=True)
    if figure is not None and marks:
        columns = min(len(marks), max(1, int(figure.get_figwidth() / _KEY_INCHES)))
        figure.legend(list(marks.values()), list(marks), loc="outside lower center", ncols=columns)


def _lay_strip(axes: Axes) -> None:
    """Makes room below the scale of Dice, so that nothing there is taken for one."""
    low, high = axes.get_ylim()
    foot = high - (high - low) / (1 - _STRIP)
    ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
    axes.set_yticks([(foot + low) / 2, *ticks], ["none", *(f"{tick:g}" for tick in ticks)])
    axes.set_ylim(foot, high)
    across = axes.transAxes
    axes.add_patch(Rectangle((0, 0), 1, _STRIP, transform=across, color=_SHADE, linewidth=0))


def _kind(run: Run) -> str:
    if not run.feasible:
        return _INFEASIBLE
    if run.value is not None:
        return _DONE
    return _FAILED if run.ending == "failed" else _STOPPED
