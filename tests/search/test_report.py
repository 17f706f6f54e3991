from __future__ import annotations

import json
import math
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from matplotlib.axes import Axes
from optuna.trial import TrialState
from small_config import build_config

from search import lineage
from search.boundaries import find_crowded_edges
from search.change_table import build_change_table, list_changes, table_of
from search.data import StudyData
from search.interactions import LEAST_RUNS, measure_interactions
from search.report import gather, write_report
from search.report_charts import draw_curves, draw_slices
from search.report_runs import Run, best_first, read_runs
from search.space import build_space
from search.study import enqueue_starts
from search.study_volume import StudyVolume
from trainer.chart import BLUE, GOLD, MUTED
from trainer.errors import InputError
from trainer.split import Split
from trainer.volume import Volume

SPACE = build_space(
    {
        "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
        "dropout": {"low": 0.0, "high": 0.5},
        "loss": ["bce", "dice"],
    }
)


def run(number: int, value: float, **params: Any) -> Run:
    return Run(number, TrialState.COMPLETE, params, {3: value}, value, True, {})


def drawn(count: int, score: Any, seed: int = 0) -> list[Run]:
    random = np.random.default_rng(seed)
    runs = []
    for number in range(count):
        params = {
            "learning_rate": 10 ** random.uniform(-5, -1),
            "dropout": random.uniform(0, 0.5),
            "loss": ("bce", "dice")[int(random.integers(2))],
        }
        runs.append(run(number, float(score(params)), **params))
    return runs


def at(params: dict[str, Any]) -> tuple[float, float]:
    return (np.log10(params["learning_rate"]) + 5) / 4 - 0.5, params["dropout"] / 0.5 - 0.5


def test_what_two_dimensions_do_to_each_other_is_found() -> None:
    runs = drawn(40, lambda params: 0.5 + at(params)[0] * at(params)[1])
    first, *others = measure_interactions(runs, SPACE.dimensions)
    assert set(first.names) == {"learning_rate", "dropout"}
    assert first.strength > 0.5
    assert all(each.strength < 0.2 for each in others)


def test_what_each_does_by_itself_is_no_interaction() -> None:
    runs = drawn(40, lambda params: 0.5 + 0.3 * at(params)[0] - 0.2 * at(params)[1] ** 2)
    assert measure_interactions(runs, SPACE.dimensions)[0].strength < 0.05


def test_few_or_equal_runs_tell_nothing_of_interactions() -> None:
    few = drawn(LEAST_RUNS - 1, lambda params: at(params)[0])
    assert measure_interactions(few, SPACE.dimensions) == []
    assert measure_interactions(drawn(30, lambda params: 0.5), SPACE.dimensions) == []


def test_interactions_of_many_runs_need_no_matrix_of_runs_by_runs() -> None:
    runs = drawn(2000, lambda params: 0.5 + at(params)[0] * at(params)[1])
    tracemalloc.start()
    first, *_ = measure_interactions(runs, SPACE.dimensions)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert set(first.names) == {"learning_rate", "dropout"}
    assert peak < 2000 * 2000 * 8 / 4


def test_each_panel_of_slices_is_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn_at_once: list[int] = []
    scatter = Axes.scatter

    def count(self: Axes, x: Any, y: Any, **style: Any) -> Any:
        drawn_at_once.append(len(x))
        assert style["facecolors"][:2] == [BLUE, "none"]
        return scatter(self, x, y, **style)

    monkeypatch.setattr(Axes, "scatter", count)
    runs = drawn(20, lambda params: params["dropout"])
    runs[1] = replace(runs[1], value=None)
    runs[2] = replace(runs[2], params={"loss": "bce"})
    draw_slices(runs, SPACE.dimensions)
    assert sorted(drawn_at_once) == [19, 19, 20]


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


def test_runs_that_crowd_at_an_edge_are_told() -> None:
    runs = drawn(40, lambda params: params["dropout"])
    edges = find_crowded_edges(runs, SPACE)
    assert [(each.name, each.end, each.bound) for each in edges] == [("dropout", "high", 0.5)]
    assert find_crowded_edges(drawn(40, lambda p: -abs(at(p)[1]) - abs(at(p)[0])), SPACE) == []
    assert find_crowded_edges(runs[:2], SPACE) == []


def test_changes_stand_beside_what_was_reported() -> None:
    facts = {"change": "baseline; Default", "train_dice": 0.6, "epoch_seconds": 3.0}
    done = Run(0, TrialState.COMPLETE, {}, {1: 0.4}, 0.4, True, facts)
    reported = {"Default": {"train_dice": 0.5, "validation_dice": 0.18}, "Other": {}}
    default, other = build_change_table([done], reported)
    assert (default.number, default.measured["validation_dice"]) == (0, 0.4)
    assert (other.number, other.reason) == (None, "not tried yet")
    head, body = table_of([default, other])
    assert head == [
        "change",
        "trial",
        "train dice",
        "train dice, reported",
        "validation dice",
        "validation dice, reported",
        "",
    ]
    assert body == [
        ["Default", "0", 0.6, 0.5, 0.4, 0.18, ""],
        ["Other", "–", None, None, None, None, "not tried yet"],
    ]


def test_without_reported_numbers_every_measured_one_is_shown() -> None:
    facts = {"change": "dropout = 0.5", "loss": 0.7, "train_dice": 0.6}
    done = Run(4, TrialState.COMPLETE, {}, {1: 0.4}, 0.4, True, facts)
    head, body = table_of(build_change_table([done], {}))
    assert head == ["change", "trial", "training loss", "train dice", "validation dice"]
    assert body == [["dropout = 0.5", "4", 0.7, 0.6, 0.4]]


def test_a_change_that_somebody_asked_for_has_its_row(tmp_path: Path) -> None:
    config = build_config(
        tmp_path,
        study={"sampler": "one_at_a_time", "pruner": "none"},
        space={"learning_rate": [1e-4, 1e-3], "depth": 2},
        start=[{"learning_rate": 1e-3}],
        change=[{"name": "slow", "learning_rate": 1e-4}],
    )
    study = optuna.create_study(direction="maximize")
    study.enqueue_trial({"learning_rate": 1e-4})
    trial = study.ask()
    trial.suggest_categorical("learning_rate", [1e-4, 1e-3])
    trial.report(0.7, 3)
    study.tell(trial, 0.7)
    (slow,) = [row for row in list_changes(study, config) if row.name == "slow"]
    assert (slow.number, slow.measured["validation_dice"]) == (0, 0.7)


def test_ideas_of_any_search_have_rows_which_say_how_far_each_was_trained(tmp_path: Path) -> None:
    config = build_config(
        tmp_path,
        space={"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "depth": 2},
        start=[{"learning_rate": 1e-3}],
        change=[{"name": "only the overlap", "loss": "dice"}, {"name": "slow", "dropout": 0.5}],
    )
    study = optuna.create_study(direction="maximize")
    enqueue_starts(study, config.starts())
    for dice, epoch in ((0.6, 3), (0.2, 1)):
        trial = study.ask()
        config.build_space().suggest(trial)
        trial.report(dice, epoch)
        trial.set_user_attr("threshold", 0.5)
        state = TrialState.COMPLETE if epoch == 3 else TrialState.PRUNED
        study.tell(trial, dice if epoch == 3 else None, state=state)
    rows = list_changes(study, config)
    assert [(row.name, row.number, row.reason) for row in rows] == [
        ("baseline", 0, None),
        ("only the overlap", 1, "after 1 epoch"),
        ("slow", None, "not tried yet"),
    ]


def test_a_run_that_has_no_values_yet_hides_nothing_of_the_others(
    study: optuna.Study, config: Any
) -> None:
    for number in range(LEAST_RUNS):
        told(study, [0.1, 0.2, 0.01 * number], rate=1e-4 * (number + 1))
    before = gather(config, study).interactions
    assert before
    study.ask()
    assert gather(config, study).interactions == before


@pytest.fixture
def config(tmp_path: Path) -> Any:
    return build_config(tmp_path / "runs")


def told(study: optuna.Study, values: list[float], *, rate: float, prune: bool = False) -> int:
    study.enqueue_trial({"learning_rate": rate, "loss": "bce"})
    trial = study.ask()
    trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    trial.suggest_categorical("loss", ["bce", "dice"])
    for epoch, value in enumerate(values, 1):
        trial.report(value, epoch)
    trial.set_user_attr("threshold", 0.5)
    trial.set_user_attr("precision", 0.8)
    state = TrialState.PRUNED if prune else TrialState.COMPLETE
    study.tell(trial, None if prune else values[-1], state=state)
    return trial.number


@pytest.fixture
def study(config: Any) -> optuna.Study:
    study = optuna.create_study(study_name="mito", direction="maximize")
    for index, rate in enumerate((1e-4, 1e-3, 2e-3, 5e-3)):
        told(study, [0.1, 0.2, 0.3 + index / 10], rate=rate)
    paused = told(study, [0.5], rate=3e-3, prune=True)
    lineage.enqueue_promotion(study, paused)
    again = study.ask()
    again.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    again.suggest_categorical("loss", ["bce", "dice"])
    for epoch, value in enumerate((0.5, 0.6, 0.9), 1):
        again.report(value, epoch)
    again.set_user_attr("threshold", 0.5)
    study.tell(again, 0.9)
    return study


def test_a_line_of_trials_is_one_run(study: optuna.Study, config: Any) -> None:
    runs = read_runs(study, config)
    assert [run.number for run in runs] == [0, 1, 2, 3, 5]
    best = best_first(runs)[0]
    assert (best.number, best.value) == (5, 0.9)


def test_the_page_stands_alone_and_says_what_is_best(
    study: optuna.Study, config: Any, tmp_path: Path
) -> None:
    study.set_user_attr(
        "finalists",
        [
            {
                "number": 5,
                "value": 0.9,
                "mean": 0.85,
                "std": 0.01,
                "n": 2,
                "scores": [
                    {"seed": 1, "fold": 0, "dice": 0.84},
                    {"seed": 2, "fold": 0, "dice": 0.86},
                ],
            }
        ],
    )
    facts = write_report(config, study, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Trial 5 is the best: Dice 0.9000" in page
    assert "0.8500 ± 0.0100" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    assert json.loads((tmp_path / "out" / "report.json").read_text())["best"][0]["number"] == 5
    assert facts["files"] == [
        str(tmp_path / "out" / name) for name in ("report.html", "report.json")
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_each_volume_is_listed_with_its_sections(
    study: optuna.Study, config: Any, tmp_path: Path, count: int
) -> None:
    one = StudyVolume(
        Volume(np.zeros((12, 4, 6), np.uint8), np.zeros((12, 4, 6), np.uint8), None),
        Split(range(8), range(9, 12), None, 1, range(12)),
        name="first",
    )
    data = StudyData((one, replace(one, name="second"))[:count])
    study.set_user_attr("defined_by", json.dumps({"data": data.to_json()}))
    write_report(config, study, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.count("12 × 4 × 6 voxels (z × y × x)") == page.count("9 to 11") == count
    assert ("second: validation sections" in page) == (count == 2)


def test_a_study_without_a_trial_has_a_page_too(config: Any, tmp_path: Path) -> None:
    study = optuna.create_study(study_name="mito", direction="maximize")
    assert gather(config, study).runs == []
    write_report(config, study, tmp_path / "out")
    assert "No run has been trained" in (tmp_path / "out" / "report.html").read_text()


def test_a_folder_that_cannot_be_written_is_refused(
    study: optuna.Study, config: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--out: expected a folder"):
        write_report(config, study, tmp_path / "file")
