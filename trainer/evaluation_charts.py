"""The charts of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from trainer.chart import BLUE, GOLD, INK, MUTED, RED, open_chart
from trainer.metrics import LEVELS
from trainer.object_rows import ObjectRow
from trainer.precision_recall import PrecisionRecall
from trainer.section_scores import SectionScore

_MANY_POINTS = 2000
_NM3_PER_UM3 = 1e9
_FEW_DECADES = 1000


def draw_dice_along_z(scores: Sequence[SectionScore], shown: Sequence[int]) -> bytes:
    """Draws every section's Dice, its mean, and the sections that are shown as pictures; SVG."""
    numbers = np.array([s.section for s in scores])
    dice = np.array([np.nan if s.dice is None else s.dice for s in scores])
    with open_chart("section (z)", "Dice") as chart:
        axes = chart.axes
        axes.plot(numbers, dice, color=BLUE, marker=".", markersize=4, linewidth=1.2)
        if np.isfinite(dice).any():
            mean = float(np.nanmean(dice))
            axes.axhline(mean, color=INK, linewidth=1, linestyle="--", label=f"mean {mean:.3f}")
        worst = np.isin(numbers, shown)
        axes.plot(numbers[worst], dice[worst], "o", color=RED, markersize=7, label="shown below")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_ylim(-0.02, 1.02)
        axes.legend(loc="lower right", ncols=2)
    return chart.svg


def draw_precision_recall(curve: PrecisionRecall, threshold: float, best_threshold: float) -> bytes:
    """Draws the curve over all thresholds, with the model's own and the best one marked; SVG."""
    with open_chart("recall (sensitivity)", "precision", width=6.0, height=4.6) as chart:
        axes = chart.axes
        # From level 1: at level 0 everything is foreground.
        axes.plot(curve.recall[1:], curve.precision[1:], color=BLUE, linewidth=1.8)
        for at, name, colour, marker in (
            (best_threshold, "best on this volume", GOLD, "s"),
            (threshold, "the model's threshold", RED, "o"),
        ):
            level = round(at * (LEVELS - 1))
            axes.plot(
                curve.recall[level],
                curve.precision[level],
                marker,
                color=colour,
                markersize=8,
                label=f"{name}: {at:.2f}",
            )
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.legend(loc="lower left")
    return chart.svg


def draw_sizes(rows: Sequence[ObjectRow], voxel_size_nm: Sequence[float] | None) -> bytes:
    """Draws how well each true object was met, against its size; SVG."""
    objects = [row for row in rows if row.kind == "true"]
    unit = 1.0 if voxel_size_nm is None else float(np.prod(voxel_size_nm)) / _NM3_PER_UM3
    label = "size in voxels" if voxel_size_nm is None else "size in µm³"
    with open_chart(label, "IoU of the best match") as chart:
        axes = chart.axes
        for found, name, colour in ((True, "found", BLUE), (False, "missed", RED)):
            chosen = [row for row in objects if row.found == found]
            axes.scatter(
                [row.voxels * unit for row in chosen],
                [row.best_iou for row in chosen],
                s=34,
                color=colour,
                alpha=0.75,
                linewidths=0,
                label=f"{name}: {len(chosen)}",
                rasterized=len(objects) > _MANY_POINTS,
            )
        axes.axhline(0.5, color=MUTED, linewidth=1, linestyle="--")
        if objects:
            sizes = [row.voxels for row in objects]
            steps = (1, 2, 5) if max(sizes) < _FEW_DECADES * min(sizes) else (1,)
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=steps))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set_ylim(-0.03, 1.03)
        axes.legend(loc="lower right")
    return chart.svg
