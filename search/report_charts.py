"""The charts of a study's report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from search.report_axes import place, scale_axis, whole_ticks
from search.report_marks import mark_runs, name_marks
from search.report_runs import Run
from search.space import Dimension
from trainer.chart import BLUE, GOLD, INK, MUTED, RED, open_chart, open_panels

_DICE = "Dice on the validation sections"


def draw_history(runs: Sequence[Run]) -> bytes:
    """Every run in the order in which it was begun, and the best so far."""
    with open_chart("trial", _DICE) as chart:
        last = max((run.number for run in runs), default=0)
        chart.axes.set_xlim(-0.02 * last - 0.5, 1.02 * last + 0.5)
        _cut(chart.axes, runs)
        legend = mark_runs(chart.axes, runs, lambda run: run.number, size=22)
        done = [run for run in runs if run.value is not None]
        if done:
            best = np.maximum.accumulate([run.value or 0.0 for run in [*done, done[-1]]])
            # As far as the last run: the last step would have no tread.
            numbers = [*(run.number for run in done), last]
            legend["best so far"] = chart.axes.step(numbers, best, where="post", color=GOLD)[0]
        name_marks(chart.axes, legend)
    return chart.svg


def draw_curves(runs: Sequence[Run], rungs: Sequence[int], best: Run | None) -> bytes:
    """Dice after every epoch of every run, with the rungs at which some were stopped."""
    with open_chart("epoch", _DICE) as chart:
        legend: dict[str, Artist] = {}
        for rung in rungs:
            legend["rung"] = chart.axes.axvline(rung, color=MUTED, linestyle=":")
        done = [run for run in runs if run.value is not None and run is not best]
        stopped = [run for run in runs if run.value is None]
        style: dict[str, Any] = {"marker": ".", "markersize": 4}
        for some, colour, name in (
            (stopped, MUTED, "stopped before its end"),
            (done, BLUE, "trained to its end"),
        ):
            if some:
                style |= {"color": colour, "linewidth": 0.9, "alpha": 0.7}
                legend[name] = chart.axes.plot(*_joined(some), **style)[0]
        if best is not None:
            style |= {"color": GOLD, "linewidth": 2.5, "alpha": 1.0, "zorder": 4}
            legend[f"trial {best.number}"] = chart.axes.plot(*_joined([best]), **style)[0]
        ended = [run for run in stopped if run.reports and run.ending in ("infeasible", "failed")]
        legend |= mark_runs(chart.axes, ended, lambda run: max(run.reports), size=22)
        _cut(chart.axes, runs)
        name_marks(chart.axes, legend)
    return chart.svg


def _joined(runs: Sequence[Run]) -> tuple[list[float], list[float]]:
    """Epochs and Dice of all runs as one line, with a gap after each."""
    x, y = [], []
    for run in runs:
        x += [*run.reports, math.nan]
        y += [*run.reports.values(), math.nan]
    return x, y


def draw_importances(importances: Mapping[str, float]) -> bytes:
    """How much each dimension matters for being among the good runs."""
    names, values = list(importances)[::-1], list(importances.values())[::-1]
    label, height = "importance (share of the whole)", 0.9 + 0.3 * len(names)
    with open_chart(label, "dimension", height=height) as chart:
        chart.axes.barh(names, values, color=BLUE)
        for row, value in enumerate(values):
            chart.axes.text(value, row, f" {value:.2f}", va="center", color=INK)
        chart.axes.set_xlim(0, max(1e-6, *values) * 1.15)
    return chart.svg


def draw_slices(runs: Sequence[Run], dimensions: Sequence[Dimension]) -> bytes:
    """Dice over the values of each dimension, one panel for each."""
    with open_panels(len(dimensions)) as panels:
        legend: dict[str, Artist] = {}
        for axes, dimension in zip(panels.axes, dimensions, strict=True):
            scale_axis(axes, dimension, "x")
            legend |= _draw_slice(axes, runs, dimension)
            axes.set_ylabel("Dice")
        name_marks(panels.axes[0], legend)
    return panels.svg


def _draw_slice(axes: Axes, runs: Sequence[Run], dimension: Dimension) -> dict[str, Artist]:
    shown = [run for run in runs if dimension.name in run.params]
    return mark_runs(axes, shown, lambda run: place(dimension, run.params[dimension.name]), size=16)


def draw_finalists(finalists: Sequence[Mapping[str, Any]]) -> bytes:
    """The repeats of each finalist, their mean, and what the search had promised."""
    with open_chart("finalist", "Dice on its validation block", width=6.0) as chart:
        for at, each in enumerate(finalists):
            dices = [score["dice"] for score in each["scores"]]
            first = at == 0
            chart.axes.scatter(
                [at] * len(dices), dices, color=BLUE, s=24, label="a repeat" if first else None
            )
            chart.axes.scatter(
                [at],
                [each["value"]],
                marker="x",
                color=RED,
                label="in the search" if first else None,
            )
            if each.get("mean") is not None:
                chart.axes.hlines(
                    each["mean"], at - 0.25, at + 0.25, color=GOLD, label="mean" if first else "_"
                )
        chart.axes.set_xticks(
            range(len(finalists)), [f"trial {each['number']}" for each in finalists]
        )
        # Beside the axes: no place within is free for certain.
        chart.axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return chart.svg


def _cut(axes: Axes, runs: Sequence[Run]) -> None:
    """Cuts the scale of Dice at 0 and 1; the other one counts something."""
    axes.xaxis.set_major_locator(whole_ticks())
    values = [value for run in runs for value in run.reports.values()]
    if values:
        axes.set_ylim(max(-0.02, min(values) - 0.05), min(1.02, max(values) + 0.05))
