"""Draws what `benchmarks.search_quality` found.

`python -m benchmarks.search_figure benchmarks/results/search_quality.json --out FILE.png` draws for
each strategy the Dice of its choice as a function of the tiles that were spent: on the validation
sections that it was chosen by, and on those held out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

_SHOWN: Mapping[str, tuple[str, str, str]] = {
    "one_at_a_time": ("one change at a time", "#222222", "--"),
    "tpe_asha": ("tpe, asha (the default)", "#1f6fb2", "-"),
    "random_asha": ("random, asha", "#59a14f", "-"),
    "ray_tune_asha": ("Ray Tune: OptunaSearch, ASHA", "#e15759", "-"),
    "tpe": ("tpe, no pruner", "#1f6fb2", ":"),
    "random": ("random, no pruner", "#59a14f", ":"),
    "tpe_async_hyperband": ("tpe, async_hyperband", "#b07aa1", "-."),
    "tpe_hyperband": ("tpe, hyperband", "#f28e2b", "-."),
}
"""Name, colour and line of each strategy."""


def draw(result: Mapping[str, Any], out: Path) -> None:
    """Draws both panels into a file, whose ending picks the format."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True)
    _panel(left, result, "best_by_tenth", "on the validation sections it was chosen by")
    _panel(right, result, "heldout_by_tenth", "on sections held out")
    left.set_ylabel("Dice of the choice, mean over the seeds")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    figure.savefig(out, dpi=110)
    plt.close(figure)


def _panel(axes: Axes, result: Mapping[str, Any], key: str, title: str) -> None:
    spent = [result["tiles"] * tenth / 10 for tenth in range(1, 11)]
    for name, (label, colour, line) in _SHOWN.items():
        if name not in result[key]:
            continue
        axes.plot(spent, result[key][name], line, color=colour, label=label, linewidth=1.8)
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("tiles of 256 x 256 trained")
    axes.grid(alpha=0.3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws."""
    parser = argparse.ArgumentParser("python -m benchmarks.search_figure", description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    draw(json.loads(options.result.read_text()), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
