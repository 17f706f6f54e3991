"""The second objective of a study in its report: the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.objectives import pareto_front
from search.report_marks import name_marks
from search.report_runs import Run
from trainer.chart import BLUE, GOLD, INK, MUTED, open_chart

_UNITS = {
    "parameters": "weights that training changes",
    "prediction_seconds_per_megavoxel": "seconds per megavoxel",
}
_WIDE = 20
_NAMED = 12


@dataclass(frozen=True)
class SecondObjective:
    """What is to be small beside a large Dice.

    Attributes:
        name: As the config calls it.
    """

    name: str

    @property
    def label(self) -> str:
        """Its name and unit, for an axis."""
        words = "prediction" if self.name.startswith("prediction") else self.name
        return f"{words} ({_UNITS[self.name]})" if self.name in _UNITS else words

    def show(self, value: float | None) -> str:
        """A value as people read it."""
        if value is None:
            return "–"
        return f"{value:,.0f}" if self.name == "parameters" else f"{value:.3g}"


def front_of(runs: Sequence[Run]) -> list[Run]:
    """The runs that no other beats in one objective and equals in the other, best Dice first."""
    both = {
        run.number: (run, (run.value, run.second))
        for run in runs
        if run.value is not None and run.second is not None
    }
    points = [(number, values) for number, (_, values) in both.items()]
    return [both[number][0] for number in pareto_front(points)]


def draw_front(runs: Sequence[Run], second: SecondObjective) -> bytes:
    """Dice over the second objective, with the front as a line of steps."""
    front = front_of(runs)[::-1]
    others = [run for run in runs if run.value is not None and run not in front]
    with open_chart(second.label, "Dice on the validation sections", height=4.0) as chart:
        axes = chart.axes
        x, y = _points(others)
        rest = axes.scatter(x, y, s=30, facecolors="none", edgecolors=MUTED)
        x, y = _points(front)
        axes.step(x, y, where="post", color=GOLD)
        best = axes.scatter(x, y, s=30, color=BLUE, zorder=3)
        if min(x) > 0 and max(_points([*front, *others])[0]) > _WIDE * min(x):
            axes.set_xscale("log")
        for run in front[-_NAMED:]:
            at = (run.second or 0.0, run.value or 0.0)
            axes.annotate(
                str(run.number), at, (0, 6), textcoords="offset points", color=INK, ha="center"
            )
        axes.margins(y=0.12)
        name_marks(axes, {"the Pareto front": best, "other runs": rest})
    return chart.svg


def _points(runs: Sequence[Run]) -> tuple[list[float], list[float]]:
    return [run.second or 0.0 for run in runs], [run.value or 0.0 for run in runs]
