from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.trial import TrialState

from search.report_axes import UNITS, name_axis
from search.report_charts import draw_curves, draw_history, draw_importances, draw_slices
from search.report_front import SecondObjective, draw_front, front_of
from search.report_pairs import draw_map, draw_pairs
from search.report_runs import Run, count_endings
from search.space import Dimension, Space, build_space
from trainer.chart import BLUE, GOLD, MUTED
from trainer.hyperparameters import Hyperparameters

SPACE = build_space(
    {
        "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
        "rotation_degrees": {"low": 0.0, "high": 180.0},
        "loss": ["bce", "dice"],
    }
)
PARAMS = {"learning_rate": 1e-3, "rotation_degrees": 90.0, "loss": "dice"}


def run(number: int, value: float, **params: Any) -> Run:
    return Run(number, TrialState.COMPLETE, PARAMS | params, {3: value}, value, True, {})


def ended(state: TrialState, *, feasible: bool = True, dice: float | None = None) -> Run:
    reports = {} if dice is None else {2: dice}
    return Run(90, state, PARAMS, reports, None, feasible, {})


STOPPED = ended(TrialState.PRUNED, dice=0.2)
FAILED = ended(TrialState.FAIL, dice=0.1)
INFEASIBLE = ended(TrialState.PRUNED, feasible=False, dice=0.3)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Figure]:
    """Gives the chart that was drawn last, as it was saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *arguments: Any, **settings: Any) -> None:
        figures.append(self)
        save(self, *arguments, **settings)

    monkeypatch.setattr(Figure, "savefig", keep)
    return lambda: figures[-1]


def legend_of(figure: Figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def marks(axes: Axes) -> list[tuple[int, Any]]:
    """How many marks of which form were drawn, one drawing after the other."""
    return [
        (len(each.get_offsets()), each.get_paths()[0].vertices.round(2).tolist())
        for each in axes.collections
    ]


def test_each_kind_of_run_is_drawn_at_once_in_each_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn_at_once: list[tuple[int, Any]] = []
    scatter = Axes.scatter

    def count(self: Axes, x: Any, y: Any, **style: Any) -> Any:
        drawn_at_once.append((len(x), style["facecolors"]))
        return scatter(self, x, y, **style)

    monkeypatch.setattr(Axes, "scatter", count)
    runs = [run(number, number / 20) for number in range(20)]
    runs[1] = replace(runs[1], value=None, state=TrialState.PRUNED)
    runs[2] = replace(runs[2], params={"loss": "bce"})
    draw_slices(runs, SPACE.dimensions)
    assert drawn_at_once == [(18, BLUE), (1, "none")] * 2 + [(19, BLUE), (1, "none")]


@pytest.mark.parametrize("draw", [draw_history, lambda runs: draw_slices(runs, SPACE.dimensions)])
def test_each_ending_has_a_mark_of_its_own(draw: Any, drawn: Callable[[], Figure]) -> None:
    draw([run(0, 0.9), STOPPED, FAILED, INFEASIBLE])
    kinds = ["trained to its end", "stopped before its end", "infeasible", "failed"]
    assert legend_of(drawn())[:4] == kinds
    forms = [form for _, form in marks(drawn().axes[0])]
    # The first two are circles, filled and hollow.
    assert forms[0] == forms[1]
    assert len({str(form) for form in forms}) == 3


def test_curves_end_in_the_mark_of_their_ending(drawn: Callable[[], Figure]) -> None:
    best = run(0, 0.9)
    draw_curves([best, STOPPED, FAILED, INFEASIBLE], [1], best)
    named = ["rung", "stopped before its end", "trial 0", "infeasible", "failed"]
    assert legend_of(drawn()) == named
    draw_curves([best, run(1, 0.8)], [], best)
    assert legend_of(drawn()) == ["trained to its end", "trial 0"]


def test_what_ended_without_a_dice_lies_below_the_scale(drawn: Callable[[], Figure]) -> None:
    without = [ended(TrialState.PRUNED, feasible=False), ended(TrialState.FAIL)]
    draw_history([run(0, 0.9), run(1, 0.0), *without])
    axes = drawn().axes[0]
    assert legend_of(drawn())[1:3] == ["infeasible", "failed"]
    assert axes.get_ylim()[0] < -0.1
    assert [label.get_text() for label in axes.get_yticklabels()][:2] == ["none", "0"]
    # One that a rung stopped, or that is only beginning, has nothing to show.
    draw_history([run(0, 0.9), run(1, 0.0), ended(TrialState.RUNNING)])
    assert drawn().axes[0].get_ylim()[0] > -0.1


def test_curves_are_drawn_in_one_line_for_each_kind_of_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines: list[tuple[list[float], Any]] = []
    plot = Axes.plot

    def count(self: Axes, x: Any, y: Any, **style: Any) -> Any:
        lines.append((y, style["color"]))
        return plot(self, x, y, **style)

    monkeypatch.setattr(Axes, "plot", count)
    runs = [run(number, number / 10) for number in range(3)]
    runs[1] = replace(runs[1], value=None)
    draw_curves(runs, [1], runs[2])
    gap = pytest.approx(math.nan, nan_ok=True)
    assert lines == [([0.1, gap], MUTED), ([0.0, gap], BLUE), ([0.2, gap], GOLD)]


def test_each_axis_has_its_name_its_unit_and_all_of_the_range(
    drawn: Callable[[], Figure],
) -> None:
    draw_slices([run(0, 0.9)], SPACE.dimensions)
    rate, degrees, loss = drawn().axes
    assert rate.get_xlabel() == "learning_rate"
    assert degrees.get_xlabel() == "rotation_degrees (degrees)"
    assert loss.get_xlabel() == "loss"
    assert degrees.get_xlim()[0] < 0
    assert degrees.get_xlim()[1] > 180
    assert {axes.get_ylabel() for axes in drawn().axes} == {"Dice"}


def test_a_list_of_numbers_is_drawn_in_their_order(drawn: Callable[[], Figure]) -> None:
    sizes = Dimension("batch_size", choices=(16, 2, 8))
    draw_slices([run(0, 0.9, batch_size=16)], [sizes])
    (axes,) = drawn().axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "8", "16"]
    assert axes.collections[0].get_offsets()[0][0] == 2


def test_a_short_range_by_powers_has_numbers_that_do_not_overlap(
    drawn: Callable[[], Figure],
) -> None:
    alpha = Dimension("elastic_alpha", 20.0, 500.0, log=True)
    draw_slices([run(0, 0.9, elastic_alpha=100.0)], [alpha])
    axis = drawn().axes[0].xaxis
    low, high = drawn().axes[0].get_xlim()
    ticks = zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=True)
    assert [text.get_text() for at, text in ticks if low <= at <= high] == [
        *("20", "50", "100", "200", "500")
    ]
    assert not any(text.get_text() for text in axis.get_ticklabels(minor=True))


def test_units_are_those_of_dimensions() -> None:
    names = {field.name for field in fields(Hyperparameters)}
    assert set(UNITS) <= names
    assert {name for name in names if name.endswith("_probability")} <= set(UNITS)
    # A panel is about 40 letters wide.
    labels = [name_axis(Dimension(name, 0.0, 1.0)) for name in names]
    assert max(len(line) for label in labels for line in label.split("\n")) <= 36


def test_importances_name_both_axes(drawn: Callable[[], Figure]) -> None:
    draw_importances({"loss": 0.7, "learning_rate": 0.3})
    (axes,) = drawn().axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "importance (share of the whole)",
        "dimension",
    )


def pairs_of(space: Space) -> tuple[Dimension, Dimension]:
    one, other = space.dimensions[:2]
    return one, other


def test_a_map_shows_the_mean_dice_of_each_part_and_how_many_runs_it_is_of(
    drawn: Callable[[], Figure],
) -> None:
    space = build_space({"batch_size": [16, 2, 8], "depth": {"low": 3, "high": 5}})
    runs = [run(0, 0.2, batch_size=2, depth=3), run(1, 0.4, batch_size=2, depth=3)]
    runs += [run(2, 0.9, batch_size=16, depth=5), run(3, 0.0)]
    draw_map(runs, pairs_of(space))
    scatter, cells, _, bar = drawn().axes
    assert len(scatter.collections[0].get_offsets()) == 3
    means = cells.collections[0].get_array()
    assert means is not None
    # (depth, batch_size), both from the lowest.
    assert np.ma.filled(means, np.nan).reshape(3, 3).tolist() == [
        [
            pytest.approx(0.3),
            pytest.approx(math.nan, nan_ok=True),
            pytest.approx(math.nan, nan_ok=True),
        ],
        [pytest.approx(math.nan, nan_ok=True)] * 3,
        [
            pytest.approx(math.nan, nan_ok=True),
            pytest.approx(math.nan, nan_ok=True),
            pytest.approx(0.9),
        ],
    ]
    assert [text.get_text() for text in cells.texts] == ["2", "1"]
    assert bar.get_ylabel() == "mean Dice of the runs in a cell"
    assert (cells.get_xlabel(), cells.get_ylabel()) == ("batch_size (tiles)", "depth (levels)")


def test_every_run_of_any_range_is_on_the_map(drawn: Callable[[], Figure]) -> None:
    space = build_space(
        {
            "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
            "filters": {"low": 8, "high": 64},
            "rotation_degrees": {},
        }
    )
    random = np.random.default_rng(0)
    rates = [1e-5, 1e-1, *10 ** random.uniform(-5, -1, 38)]
    filters = [8, 64, *random.integers(8, 65, 38).tolist()]
    runs = [
        run(number, 0.5 + number / 100, learning_rate=rate, filters=count)
        for number, (rate, count) in enumerate(zip(rates, filters, strict=True))
    ]
    draw_map(runs, pairs_of(space))
    assert sum(int(text.get_text()) for text in drawn().axes[1].texts) == len(runs)


def test_pairs_name_both_axes_with_units(drawn: Callable[[], Figure]) -> None:
    draw_pairs([run(0, 0.9), run(1, 0.1)], [pairs_of(SPACE)])
    axes = drawn().axes[0]
    assert axes.get_xlabel() == "learning_rate"
    assert axes.get_ylabel() == "rotation_degrees (degrees)"


def test_the_front_is_named_and_the_rest_is_not(drawn: Callable[[], Figure]) -> None:
    values = [(0.9, 5e6), (0.8, 2e4), (0.7, 3e5), (0.85, 2e5)]
    runs = [replace(run(n, dice), second=size) for n, (dice, size) in enumerate(values)]
    assert [each.number for each in front_of([*runs, STOPPED])] == [0, 3, 1]
    draw_front([*runs, STOPPED], SecondObjective("parameters"))
    (axes,) = drawn().axes
    assert sorted(text.get_text() for text in axes.texts) == ["0", "1", "3"]
    assert axes.get_xlabel() == "parameters (weights that training changes)"
    assert axes.get_ylabel() == "Dice on the validation sections"
    assert axes.get_xscale() == "log"
    assert len(axes.collections[0].get_offsets()) == 1


def test_values_of_a_second_objective_are_shown_as_people_read_them() -> None:
    seconds = SecondObjective("prediction_seconds_per_megavoxel")
    assert seconds.label == "prediction (seconds per megavoxel)"
    assert (seconds.show(0.01234), seconds.show(None)) == ("0.0123", "–")
    assert SecondObjective("parameters").show(1234567.0) == "1,234,567"


def test_endings_are_counted_infeasible_ones_apart() -> None:
    running = ended(TrialState.RUNNING)
    counts = count_endings([run(0, 0.9), STOPPED, FAILED, INFEASIBLE, INFEASIBLE, running])
    assert counts == {
        "trained to the end": 1,
        "stopped early": 1,
        "infeasible": 2,
        "failed": 1,
        "running": 1,
    }
