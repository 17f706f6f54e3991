"""Charts of what was measured on a volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.contrast import Contrast
from trainer.decorrelation import Curve
from trainer.exposure import Brightness
from trainer.objects import Objects
from trainer.section_correlation import Correlation

_INSIDE, _OUTSIDE, _MARK = "#c2410c", "#2563a8", "#444444"
_BARS = 128


def draw_object_sizes(objects: Objects, edges: Sequence[float], unit: str) -> Figure:
    """Draws the distributions of areas and volumes, and the number of objects in each section."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    area, volume, along = figure.subplots(1, 3)
    _draw_sizes(
        area, objects.areas * (edges[1] * edges[2]), f"area, {unit}²", "objects of sections"
    )
    _draw_sizes(
        volume, objects.volumes * float(np.prod(edges)), f"volume, {unit}³", "objects of the volume"
    )
    along.plot(objects.per_section, color=_OUTSIDE, drawstyle="steps-mid")
    along.set(xlabel="section", ylabel="objects in the section", ylim=(0, None))
    for axes in (area, volume, along):
        _tidy(axes)
    return figure


def draw_intensities(contrast: Contrast) -> Figure:
    """Draws the grey values inside and outside, and the Dice of every threshold."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    histogram, dice = figure.subplots(1, 2, sharex=True)
    step = -(-len(contrast.levels) // _BARS)
    levels = contrast.levels[::step]
    for counts, colour, name in (
        (contrast.outside, _OUTSIDE, "outside"), (contrast.inside, _INSIDE, "inside"),
    ):  # fmt: skip
        summed = np.add.reduceat(counts, np.arange(0, len(counts), step))
        share = summed / max(1, counts.sum()) * 100
        histogram.fill_between(levels, share, step="mid", color=colour, alpha=0.35, label=name)
        histogram.plot(levels, share, color=colour, linewidth=1, drawstyle="steps-mid")
    histogram.set(xlabel="grey value", ylabel="% of the voxels inside or outside", ylim=(0, None))
    dice.plot(
        contrast.levels, contrast.dice_curve(contrast.foreground_is), color=_INSIDE,
        label=f"{contrast.foreground_is} than the threshold",
    )  # fmt: skip
    dice.axhline(contrast.dice_of_all, color=_MARK, linewidth=1, linestyle=":", label="everything")
    dice.set(xlabel="threshold, grey value", ylabel="Dice", ylim=(0, 1))
    for axes in (histogram, dice):
        axes.axvline(
            contrast.threshold, color=_MARK, linestyle="--", linewidth=1,
            label=f"best threshold, {contrast.threshold:.4g}",
        )  # fmt: skip
        axes.legend(frameon=False)
        _tidy(axes)
    return figure


def draw_grey_values(levels: np.ndarray, counts: np.ndarray) -> Figure:
    """Draws the grey values of a volume without a mask."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots()
    step = -(-len(levels) // _BARS)
    summed = np.add.reduceat(counts, np.arange(0, len(counts), step)) / max(1, counts.sum()) * 100
    axes.fill_between(levels[::step], summed, step="mid", color=_OUTSIDE, alpha=0.5)
    axes.set(xlabel="grey value", ylabel="% of the voxels", ylim=(0, None))
    _tidy(axes)
    return figure


def draw_correlation(plain: Correlation, from_first: Correlation, guard_gap: int) -> Figure:
    """Draws the correlation of unchanged sections against their distance."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    _draw_curve(axes, plain, _INSIDE, "all pairs of sections")
    _draw_curve(axes, from_first, _OUTSIDE, "the first section with those above it")
    axes.axvline(
        guard_gap, color=_MARK, linestyle="--", linewidth=1, label=f"guard gap {guard_gap}"
    )
    _finish_correlation(axes)
    return figure


def draw_changed(curves: Sequence[Curve], plain: Correlation) -> Figure:
    """Draws the correlation with changed sections beside that with unchanged ones."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    _draw_curve(axes, plain, _MARK, "unchanged")
    colours = colormaps["viridis"](np.linspace(0.05, 0.85, len(curves)))
    for curve, colour in zip(curves, colours, strict=True):
        same = curve.settings.get("elastic_sigma") == curves[0].settings.get("elastic_sigma")
        _draw_curve(axes, curve.correlation, colour, curve.name, "-" if same else "--")
    _finish_correlation(axes)
    return figure


def draw_along_z(brightness: Brightness, near: np.ndarray, share: np.ndarray | None) -> Figure:
    """Draws brightness, likeness of neighbours and share of foreground along z."""
    panels = 2 if share is None else 3
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    grid = figure.subplots(1, panels)
    grid[0].plot(brightness.means, ".", color=_OUTSIDE, markersize=3, label="section")
    grid[0].plot(brightness.trend, color=_MARK, linewidth=1, label="trend")
    grid[0].set(xlabel="section", ylabel="mean grey value")
    grid[0].legend(frameon=False)
    grid[1].plot(np.arange(len(near)) + 0.5, near, ".-", color=_INSIDE, markersize=3, linewidth=0.8)
    grid[1].set(xlabel="section", ylabel="correlation with the next one")
    if share is not None:
        grid[2].plot(share * 100, color=_OUTSIDE)
        grid[2].set(xlabel="section", ylabel="foreground, %", ylim=(0, None))
    for axes in grid:
        _tidy(axes)
    return figure


def _draw_sizes(axes: Axes, sizes: np.ndarray, label: str, what: str) -> None:
    low, high = float(sizes.min()), float(sizes.max())
    edges = np.geomspace(low * 0.999, max(high, low * 1.01) * 1.001, 31)
    axes.hist(sizes, bins=edges.tolist(), color=_INSIDE, alpha=0.6)
    axes.axvline(sizes.mean(), color=_MARK, linestyle="--", label=f"mean {sizes.mean():,.3g}")
    axes.axvline(
        float(np.median(sizes)), color=_MARK, linestyle=":", label=f"median {np.median(sizes):,.3g}"
    )
    axes.set(xscale="log", xlabel=label, ylabel=what)
    axes.legend(frameon=False, fontsize=8)


def _draw_curve(
    axes: Axes, correlation: Correlation, colour: Any, name: str, style: str = "-"
) -> None:
    axes.plot(
        correlation.distances, correlation.values, style, color=colour, linewidth=1.4, label=name
    )
    axes.fill_between(
        correlation.distances,
        correlation.low,
        correlation.high,
        color=colour,
        alpha=0.22,
        linewidth=0,
    )


def _finish_correlation(axes: Axes) -> None:
    axes.axhline(0, color=_MARK, linewidth=0.6)
    axes.set(xlabel="distance, sections", ylabel="Pearson's correlation, 95 % CI", xlim=(0, None))
    axes.legend(frameon=False, fontsize=8.5)
    _tidy(axes)


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
