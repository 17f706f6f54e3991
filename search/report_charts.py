"""The charts of a study's report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from optuna.trial import TrialState

from search.report_runs import Run
from search.space import Dimension
from trainer.chart import BLUE, GOLD, INK, MUTED, RED, open_chart, open_panels

_DICE = "Dice on the validation sections"
_COLOURS = "viridis"


def _whole_ticks() -> MaxNLocator:
    return MaxNLocator(integer=True, min_n_ticks=1)


def draw_history(runs: Sequence[Run]) -> bytes:
    """Every run in the order in which it was begun, and the best so far."""
    with open_chart("trial", _DICE) as chart:
        done = [run for run in runs if run.value is not None]
        stopped = [run for run in runs if run.value is None and run.last is not None]
        styles: list[tuple[list[Run], dict[str, Any]]] = [
            (
                stopped,
                {"facecolors": "none", "edgecolors": MUTED, "label": "stopped before its end"},
            ),
            (done, {"color": BLUE, "label": "trained to its end"}),
        ]
        for some, style in styles:
            if some:
                x, y = [run.number for run in some], [run.last or 0.0 for run in some]
                chart.axes.scatter(x, y, s=22, zorder=3, **style)
        if done:
            best = np.maximum.accumulate([run.value or 0.0 for run in done])
            numbers = [run.number for run in done]
            chart.axes.step(numbers, best, where="post", color=GOLD, label="best so far")
        chart.axes.xaxis.set_major_locator(_whole_ticks())
        _end(chart.axes, runs)
    return chart.svg


def draw_curves(runs: Sequence[Run], rungs: Sequence[int], best: Run | None) -> bytes:
    """Dice after every epoch of every run, with the rungs at which some were stopped."""
    with open_chart("epoch", _DICE) as chart:
        for rung in rungs:
            label = "rung" if rung == rungs[0] else None
            chart.axes.axvline(rung, color=MUTED, linestyle=":", label=label)
        done = [run for run in runs if run.value is not None and run is not best]
        stopped = [run for run in runs if run.value is None]
        style: dict[str, Any] = {"marker": ".", "markersize": 4}
        for some, colour in ((stopped, MUTED), (done, BLUE)):
            chart.axes.plot(*_joined(some), color=colour, linewidth=0.9, alpha=0.7, **style)
        if best is not None:
            style |= {"color": GOLD, "linewidth": 2.5, "zorder": 4, "label": f"trial {best.number}"}
            chart.axes.plot(*_joined([best]), **style)
        chart.axes.xaxis.set_major_locator(_whole_ticks())
        _end(chart.axes, runs)
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
    with open_chart("share of the importance of all", "", height=0.8 + 0.3 * len(names)) as chart:
        chart.axes.barh(names, values, color=BLUE)
        for place, value in enumerate(values):
            chart.axes.text(value, place, f" {value:.2f}", va="center", color=INK)
        chart.axes.set_xlim(0, max(1e-6, *values) * 1.15)
    return chart.svg


def draw_slices(runs: Sequence[Run], dimensions: Sequence[Dimension]) -> bytes:
    """Dice over the values of each dimension, one panel for each."""
    with open_panels(len(dimensions)) as panels:
        for axes, dimension in zip(panels.axes, dimensions, strict=True):
            shown = [run for run in runs if dimension.name in run.params and run.last is not None]
            axes.scatter(
                [place(dimension, run.params[dimension.name]) for run in shown],
                [run.last or 0.0 for run in shown],
                s=16,
                facecolors=["none" if run.value is None else BLUE for run in shown],
                edgecolors=[MUTED if run.value is None else BLUE for run in shown],
            )
            _scale(axes, dimension, "x")
            axes.set_title(dimension.name, fontsize=9)
            axes.set_ylabel("Dice")
    return panels.svg


def draw_pairs(runs: Sequence[Run], pairs: Sequence[tuple[Dimension, Dimension]]) -> bytes:
    """Dice as colour over two dimensions at a time."""
    scored = [run for run in runs if run.last is not None]
    low, high = min(run.last or 0.0 for run in scored), max(run.last or 0.0 for run in scored)
    with open_panels(len(pairs), columns=2, height=3.0) as panels:
        for axes, (one, other) in zip(panels.axes, pairs, strict=True):
            both = [run for run in scored if one.name in run.params and other.name in run.params]
            points = axes.scatter(
                [place(one, run.params[one.name]) for run in both],
                [place(other, run.params[other.name]) for run in both],
                c=[run.last or 0.0 for run in both],
                cmap=_COLOURS,
                vmin=low,
                vmax=high,
                s=36,
                edgecolors=MUTED,
                linewidths=0.4,
            )
            _scale(axes, one, "x")
            _scale(axes, other, "y")
            axes.set_xlabel(one.name)
            axes.set_ylabel(other.name)
            if axes.figure is not None:
                axes.figure.colorbar(points, ax=axes, label="Dice")
    return panels.svg


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
        chart.axes.legend(loc="best")
    return chart.svg


def place(dimension: Dimension, value: Any) -> float:
    """Where a value is drawn: choices by their order, numbers by themselves."""
    if dimension.choices:
        return float(dimension.choices.index(value)) if value in dimension.choices else -1.0
    return float(value)


def _scale(axes: Axes, dimension: Dimension, axis: str) -> None:
    if dimension.choices:
        ticks, words = range(len(dimension.choices)), [str(word) for word in dimension.choices]
        if axis == "x":
            axes.set_xticks(
                ticks, words, rotation=30 if max(map(len, words)) > 5 else 0, fontsize=8
            )
            axes.set_xlim(-0.5, len(words) - 0.5)
        else:
            axes.set_yticks(ticks, words, fontsize=8)
            axes.set_ylim(-0.5, len(words) - 0.5)
    elif dimension.log:
        (axes.set_xscale if axis == "x" else axes.set_yscale)("log")
    elif isinstance(dimension.low, int) and isinstance(dimension.high, int):
        (axes.xaxis if axis == "x" else axes.yaxis).set_major_locator(_whole_ticks())


def _end(axes: Axes, runs: Sequence[Run]) -> None:
    """Cuts the scale at 0 and 1, and names what was drawn."""
    values = [value for run in runs for value in run.reports.values()]
    if values:
        axes.set_ylim(max(-0.02, min(values) - 0.05), min(1.02, max(values) + 0.05))
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="lower right")


def finished_states(runs: Sequence[Run]) -> dict[str, int]:
    """How many runs ended in which way, infeasible ones apart from those that a rung stopped."""
    counts = {
        "trained to the end": 0,
        "stopped early": 0,
        "infeasible": 0,
        "failed": 0,
        "running": 0,
    }
    for run in runs:
        if not run.feasible:
            counts["infeasible"] += 1
        elif run.state is TrialState.COMPLETE:
            counts["trained to the end"] += 1
        elif run.state is TrialState.PRUNED:
            counts["stopped early"] += 1
        elif run.state is TrialState.FAIL:
            counts["failed"] += 1
        else:
            counts["running"] += 1
    return counts
