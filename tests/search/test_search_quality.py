"""The replay of strategies on recorded curves, tried on a made-up table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from matplotlib.axes import Axes

from benchmarks import search_figure, search_quality
from benchmarks.curve_table import CurveTable, Visits, load_curve_table
from benchmarks.replay import STRATEGIES, Course, follow, replay, replay_one_at_a_time
from search.curves import ParametricCurves
from search.space import build_space
from trainer.errors import InputError

EPOCHS = 9
SPACE: dict[str, Any] = {
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "batch_size": [2, 3, 5, 10, 20],
    "loss": ["bce", "dice", "log_dice"],
    "kernel": ["3x3", "effective_5x5", "5x5"],
    "depth": 2,
    "filters": 8,
    "tile_size": 64,
}
DEFAULT = {"learning_rate": 1e-3, "batch_size": 3, "loss": "bce", "kernel": "3x3"}
CHANGES = [{}, {"learning_rate": 1e-5}, {"batch_size": 10}, {"loss": "dice"}, {"kernel": "5x5"}]


def build_rows() -> list[dict[str, Any]]:
    space = build_space(SPACE)
    runs = [(str(change or "Default"), {**DEFAULT, **change}) for change in CHANGES]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=2))
    for number in range(35):
        trial = study.ask()
        space.suggest(trial)
        runs.append((f"sobol {number}", dict(trial.params)))
    curves = ParametricCurves(space, epochs=EPOCHS, epoch_seconds=60, seed=1)
    rows = []
    for name, params in runs:
        curve = curves.curve(space.complete(params))
        rows.append(
            {
                "name": name,
                "params": params,
                "dice": curve.values,
                "heldout_dice": [value / 2 for value in curve.values],
                "epoch_seconds": curve.epoch_seconds,
                "loss": [1 - value for value in curve.values],
            }
        )
    return rows


def build_whole() -> dict[str, Any]:
    about = {"epochs": EPOCHS, "tiles_per_epoch": 100, "space": SPACE, "volume": "made up"}
    return {"about": about, "rows": build_rows()}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "curves.json"
    path.write_text(json.dumps(build_whole()))
    return path


@pytest.fixture(scope="module")
def table(path: Path) -> CurveTable:
    return load_curve_table(path)


# The table


def test_the_distance_is_the_mean_over_the_dimensions_on_their_own_scales(
    table: CurveTable,
) -> None:
    def distance(**changes: Any) -> float:
        return float(table.distances(table.space.complete({**DEFAULT, **changes}))[0])

    assert distance() == 0
    # A quarter of four decades; two of four ranks; another word; the next but one of three.
    assert distance(learning_rate=1e-2) == pytest.approx(0.25 / 4)
    assert distance(batch_size=10) == pytest.approx(0.5 / 4)
    assert distance(loss="log_dice") == distance(loss="dice") == pytest.approx(1 / 4)
    assert distance(kernel="effective_5x5") == pytest.approx(0.5 / 4)
    assert distance(kernel="5x5", loss="dice", batch_size=20) == pytest.approx(2.75 / 4)


def test_each_proposal_visits_a_row_of_its_own_and_one_that_goes_on_the_same(
    table: CurveTable,
) -> None:
    visits = Visits(table)
    default = table.space.complete(DEFAULT)
    assert visits.visit(default) == visits.visit(default) == 0
    seen = {
        visits.visit(default.__class__(**{**vars(default), "learning_rate": 1e-3 + n * 1e-9}))
        for n in range(1, len(table.rows))
    }
    assert seen == set(range(1, len(table.rows)))
    with pytest.raises(RuntimeError, match="every row"):
        visits.visit(table.space.complete({**DEFAULT, "learning_rate": 0.05}))


def broken(where: str, value: Any) -> dict[str, Any]:
    whole = build_whole()
    whole["rows"][3][where] = value
    return whole


@pytest.mark.parametrize(
    ("whole", "problem"),
    [
        ({"rows": []}, "it has no 'about'"),
        ({**build_whole(), "rows": []}, "it has no rows"),
        ({**build_whole(), "about": {"epochs": 0}}, "epochs"),
        (broken("dice", [0.5]), "dice: expected 9 epochs, got 1"),
        (broken("dice", [None] * 9), "dice.0"),
        (broken("params", {"momentum": 0.5}), "momentum: expected a dimension"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(
    whole: Any, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "curves.json"
    path.write_text(json.dumps(whole))
    with pytest.raises(InputError, match="expected a table of learning curves"):
        load_curve_table(path)
    assert search_quality.main(["--table", str(path)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert problem in told.err


# One strategy


def test_one_value_at_a_time_trains_each_row_to_its_end_in_order(table: CurveTable) -> None:
    journal = replay_one_at_a_time(table, slots=1)
    assert journal == [(row, epoch) for row in range(5) for epoch in range(1, EPOCHS + 1)]


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_spends_the_budget_on_epochs_of_the_table(
    table: CurveTable, name: str, slots: int
) -> None:
    journal = replay(table, STRATEGIES[name], seed=1, slots=slots, epochs=45)
    assert len(set(journal)) == len(journal)
    assert 45 <= len(journal) < 45 + slots
    rows = {row for row, _ in journal}
    for row in rows:
        epochs = [epoch for each, epoch in journal if each == row]
        assert epochs == list(range(1, len(epochs) + 1))
    assert (len(rows) == 45 // EPOCHS) == (STRATEGIES[name].pruner == "none") or slots > 1
    assert journal == replay(table, STRATEGIES[name], seed=1, slots=slots, epochs=45)


def test_the_choice_is_the_best_at_full_budget_once_there_is_one(table: CurveTable) -> None:
    journal = [(0, 1), (1, 1), *((2, epoch) for epoch in range(1, EPOCHS + 1)), (3, EPOCHS)]
    course = follow(table, journal, epochs=14)
    first = max(table.rows[0].dice[0], table.rows[1].dice[0])
    assert course.dice[:2] == (table.rows[0].dice[0], first)
    assert course.dice[10] == table.rows[2].dice[-1]
    last = max(table.rows[2].dice[-1], table.rows[3].dice[-1])
    assert course.dice[11:] == (last,) * 3
    assert course.heldout_dice == tuple(value / 2 for value in course.dice)


# All of them


def course(*dice: float) -> Course:
    return Course(dice, tuple(value / 2 for value in dice))


def test_strategies_are_summed_up_over_their_seeds() -> None:
    told = search_quality.summarize(
        {
            "one_at_a_time": [course(*[0.5] * 15, *[0.8] * 5)],
            "tpe": [course(*[0.6] * 9, *[0.9] * 11), course(*[0.6] * 4, *[0.8] * 16)],
            "random": [course(*[0.7] * 20), course(*[0.9] * 20)],
        }
    )
    # The slower of the two seeds; of two seeds one that never gets there is half of them.
    assert told["tiles_to_one_at_a_time_best"] == {
        "one_at_a_time": 0.8,
        "tpe": 0.5,
        "random": None,
    }
    assert told["seeds_that_reach_it"] == {"one_at_a_time": 1, "tpe": 2, "random": 1}
    assert told["heldout_dice"] == {"one_at_a_time": 0.4, "tpe": 0.425, "random": 0.4}
    assert told["heldout_dice_standard_error"]["random"] == pytest.approx(0.05)
    assert told["best_by_tenth"]["tpe"] == [0.6, 0.6, 0.7, 0.7] + [0.85] * 6
    assert told["best_by_tenth"]["one_at_a_time"] == [0.5] * 7 + [0.8] * 3


def test_seeds_take_the_tables_in_turn_and_each_is_measured_by_its_own(
    table: CurveTable, path: Path, tmp_path: Path
) -> None:
    better = build_whole()
    for row in better["rows"]:
        row["dice"] = [value + 1 for value in row["dice"]]
    other = tmp_path / "better.json"
    other.write_text(json.dumps(better))
    tables = search_quality.load_tables([path, other])
    courses = search_quality.replay_all(tables, range(3), slots=1, epochs=45, say=lambda line: None)
    assert [course.dice[-1] > 1 for course in courses["one_at_a_time"]] == [False, True]
    assert [course.dice[-1] > 1 for course in courses["random"]] == [False, True, False]
    told = search_quality.summarize(courses)
    # One value at a time on the better table is no goal for a seed on the other.
    assert told["seeds_that_reach_it"]["one_at_a_time"] == 2
    best = [max(row.dice[-1] for row in each.rows) for each in tables]
    shares = search_quality.find_shares(courses, tables)
    assert shares["random"] == pytest.approx(
        sum(course.dice[-1] == best[seed % 2] for seed, course in enumerate(courses["random"])) / 3,
        abs=1e-4,
    )
    goals = [course.dice[-1] for course in courses["one_at_a_time"]]
    assert told["seeds_that_reach_it"]["random"] == sum(
        course.dice[-1] >= goals[seed % 2] for seed, course in enumerate(courses["random"])
    )


def test_a_table_of_other_tiles_is_refused_and_one_of_other_rows_is_not(
    path: Path, tmp_path: Path
) -> None:
    whole, other = build_whole(), tmp_path / "other.json"
    other.write_text(json.dumps({**whole, "rows": whole["rows"][:30]}))
    assert [len(each.rows) for each in search_quality.load_tables([path, other])] == [40, 30]
    other.write_text(json.dumps({**whole, "rows": whole["rows"][1:]}))
    with pytest.raises(InputError, match=r"\(5, 9, 100\).*got \(4, 9, 100\)"):
        search_quality.load_tables([path, other])


def test_the_default_is_what_the_configs_use() -> None:
    assert search_quality.default_strategy() in STRATEGIES


def test_the_result_is_the_last_line(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Ray Tune's side needs a Ray of its own, and is tried below.
    def no_ray_tune(tables: list[CurveTable], seeds: Any, epochs: int, say: Any) -> list[Course]:
        return [follow(tables[0], [(0, 1)], epochs=epochs) for _ in seeds]

    monkeypatch.setattr(search_quality, "_replay_ray_tune", no_ray_tune)
    monkeypatch.setattr(search_quality, "be_quiet", lambda: None)
    monkeypatch.setattr(search_quality, "require_ray_tune", lambda: None)
    assert search_quality.main(["--table", str(path), "--seeds", "2", "--slots", "3"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    names = {"one_at_a_time", "ray_tune_asha", *STRATEGIES}
    for key in ("tiles_to_one_at_a_time_best", "heldout_dice", "best_by_tenth"):
        assert set(told[key]) == names
    assert all(len(tenths) == 10 for tenths in told["best_by_tenth"].values())
    assert (told["seeds"], told["tiles"], told["rows"]) == (2, 4500, [40])
    assert set(told["on_3_slots"]["heldout_dice"]) == names - {"ray_tune_asha"}


def test_every_strategy_is_drawn_over_the_tiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, list[list[float]]] = {}

    def plot(axes: Any, x: Any, y: Any, line: str, **style: Any) -> None:
        drawn.setdefault(style["label"], []).append([*x[:1], *y[:1]])

    monkeypatch.setattr(Axes, "plot", plot)
    names = ("one_at_a_time", "tpe_asha", "ray_tune_asha")
    tenths = {name: [0.1 * number + 0.5] * 10 for number, name in enumerate(names)}
    result = {"tiles": 100, "best_by_tenth": tenths, "heldout_by_tenth": tenths}
    (tmp_path / "result.json").write_text(json.dumps(result))
    out = tmp_path / "figure.png"
    assert search_figure.main([str(tmp_path / "result.json"), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert drawn["one change at a time"] == [[10, 0.5]] * 2
    assert drawn["tpe, asha (the default)"] == [[10, 0.6]] * 2
    assert len(drawn) == 3


@pytest.mark.slow
def test_ray_tune_visits_the_table_as_the_others_do(
    table: CurveTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without its own packages, which only EXTRAS=bench brings, it is there and cannot be imported.
    pytest.importorskip("ray.tune", exc_type=ImportError)
    # As `be_quiet` has it; Ray Tune leaves the files open that it would write.
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    from benchmarks.own_ray import own_ray
    from benchmarks.replay_ray_tune import replay_ray_tune

    with own_ray(cpus=1):
        journal = replay_ray_tune(table, seed=1, epochs=30)
    assert 30 <= len(journal) <= 32
    assert len(set(journal)) == len(journal)
    lengths = [sum(row == each for each, _ in journal) for row in {row for row, _ in journal}]
    assert min(lengths) == 1
    assert max(lengths) <= EPOCHS
