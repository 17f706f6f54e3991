from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from small_config import build_config

from search import lineage
from search.boundaries import EdgeCheck
from search.budget import Spent
from search.change_table import list_changes
from search.data import StudyData
from search.interactions import LEAST_RUNS
from search.objectives import directions
from search.report import gather, write_report
from search.report_page import build_report_page
from search.report_runs import best_first, read_runs
from search.standing import write_spent
from search.study import enqueue_starts, open_finalists
from search.study_volume import StudyVolume
from trainer.errors import InputError
from trainer.split import Split
from trainer.volume import Volume


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


def page_of(config: Any, study: optuna.Study, folder: Path) -> str:
    write_report(config, study, folder)
    return (folder / "report.html").read_text()


def facts_of(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return facts


FIGURES = {
    "importances": "How much each dimension decides",
    "map": "which act together most",
    "front": "Every run that was trained to its end;",
}


def test_without_enough_runs_the_page_says_that_it_cannot_tell_what_matters(
    config: Any, tmp_path: Path
) -> None:
    study = optuna.create_study(study_name="mito", direction="maximize")
    for index in range(3):
        told(study, [0.1, 0.2, 0.3 + index / 10], rate=1e-4 * (index + 1))
    page = page_of(config, study, tmp_path)
    assert "What matters" in page
    assert "Fewer than 4 runs were trained to their end" in page
    assert FIGURES["importances"] not in page


def test_what_few_runs_say_of_what_matters_is_called_noise(config: Any, tmp_path: Path) -> None:
    study = optuna.create_study(study_name="mito", direction="maximize")
    for index in range(9):
        told(study, [0.1, 0.2, 0.3 + index / 20], rate=1e-4 * (index + 1))
    page = page_of(config, study, tmp_path)
    assert FIGURES["importances"] in page
    assert "Only 9 runs were trained to their end: these numbers are mostly noise" in page
    told(study, [0.1, 0.2, 0.9], rate=5e-3)
    assert "mostly noise" not in page_of(config, study, tmp_path)


def test_runs_that_are_all_alike_do_not_tell_what_matters(config: Any, tmp_path: Path) -> None:
    study = optuna.create_study(study_name="mito", direction="maximize")
    for index in range(5):
        told(study, [0.1, 0.2, 0.3], rate=1e-4 * (index + 1))
    assert "The runs do not differ in a way that tells" in page_of(config, study, tmp_path)


@pytest.mark.parametrize("count", [LEAST_RUNS, 20])
def test_the_pair_that_acts_together_most_is_mapped_where_runs_suffice(
    config: Any, tmp_path: Path, count: int
) -> None:
    study = optuna.create_study(study_name="mito", direction="maximize")
    space = config.build_space()
    random = np.random.default_rng(0)
    for _ in range(count):
        rate, loss = 10 ** random.uniform(-4, -2), ("bce", "dice")[int(random.integers(2))]
        study.enqueue_trial({"learning_rate": rate, "loss": loss})
        trial = study.ask()
        space.suggest(trial)
        trial.report(dice := 0.5 + (np.log10(rate) + 3) * (0.2 if loss == "bce" else -0.2), 3)
        trial.set_user_attr("threshold", 0.5)
        study.tell(trial, dice)
    page = page_of(config, study, tmp_path)
    sentence = "Fewer than 20 runs have a Dice and values of learning_rate and loss: too few"
    assert (FIGURES["map"] in page, sentence in page) == (count >= 20, count < 20)


def test_too_few_runs_say_nothing_of_the_edges(config: Any, tmp_path: Path) -> None:
    study = optuna.create_study(study_name="mito", direction="maximize")
    told(study, [0.1, 0.2, 0.3], rate=1e-2)
    page = page_of(config, study, tmp_path)
    assert "Too few finished runs to say whether the best crowd" in page
    assert "do not crowd" not in page
    assert facts_of(tmp_path)["edges_untold"] == ["learning_rate"]


def test_a_crowded_edge_stands_beside_what_chance_would_do(config: Any, tmp_path: Path) -> None:
    study = optuna.create_study(study_name="mito", direction="maximize")
    for index in range(3):
        told(study, [0.1, 0.2, 0.3 + index / 10], rate=1e-2)
    page = page_of(config, study, tmp_path)
    assert "learning_rate: 3 of the 3 best runs lie near its high end, 0.01" in page
    assert "where chance would put 0.3" in page
    assert "do not crowd" not in page
    edge = {"dimension": "learning_rate", "end": "high", "bound": 0.01}
    assert facts_of(tmp_path)["edges"] == [edge]


@pytest.mark.parametrize(
    ("check", "ideas", "expected"),
    [
        (EdgeCheck(), False, "No dimension has three numbers or more"),
        (EdgeCheck(told=["zoom"]), False, "The best runs do not crowd at an end of any range"),
        (EdgeCheck(untold=["zoom"]), True, "Too few finished runs that the search drew itself to"),
        (
            EdgeCheck(told=["zoom"], untold=["depth"]),
            False,
            "list of numbers. Too few finished runs to say it of depth.",
        ),
    ],
)
def test_the_page_says_how_far_the_edges_were_looked_at(
    study: optuna.Study, config: Any, check: EdgeCheck, ideas: bool, expected: str
) -> None:
    findings = gather(config, study)
    facts = {"change": "baseline"} if ideas else {}
    runs = [replace(each, facts={**each.facts, **facts}) for each in findings.runs]
    page = build_report_page(replace(findings, runs=runs, edges=check)).decode()
    assert expected in page


@pytest.mark.parametrize("price", [None, 2.0])
@pytest.mark.parametrize("finalists", [False, True])
def test_time_and_cost_are_those_of_the_search_and_of_its_finalists(
    study: optuna.Study, tmp_path: Path, finalists: bool, price: float | None
) -> None:
    config = build_config(tmp_path / "runs", budget={"price_per_device_hour": price})
    spend(study, hours=1.5, device_hours=2.5)
    if finalists:
        spend(open_finalists(config, study._storage), hours=0.5, device_hours=1)
    page = page_of(config, study, tmp_path)
    money = "" if price is None else ", 5.00 in money (2 for a device hour)"
    assert cells("time and cost of the search alone", f"1.50 h, 2.50 device hours{money}") in page
    money = "" if price is None else ", 2.00 in money (2 for a device hour)"
    row = cells("of the finalists and the final training", f"0.50 h, 1.00 device hours{money}")
    assert (row in page) == finalists
    money = "" if price is None else ", 7.00 in money (2 for a device hour)"
    row = cells("of both together", f"2.00 h, 3.50 device hours{money}")
    assert (row in page) == finalists
    costs = facts_of(tmp_path)["costs"]
    assert costs["search"] == {
        "hours": 1.5,
        "device_hours": 2.5,
        "money": None if price is None else 5.0,
    }
    assert (costs["finalists"] is not None) == finalists
    assert costs["together"]["device_hours"] == (3.5 if finalists else 2.5)


def spend(study: optuna.Study, *, hours: float, device_hours: float) -> None:
    spent = Spent(seconds=3600 * hours, device_seconds=3600 * device_hours)
    write_spent(study, spent)


def cells(*texts: str) -> str:
    return "".join(f"<td>{text}</td>" for text in texts)


def test_of_two_objectives_the_page_shows_the_front(tmp_path: Path) -> None:
    config = build_config(
        tmp_path / "runs", study={"pruner": "none", "second_objective": "parameters"}
    )
    study = optuna.create_study(study_name="mito", directions=directions("parameters"))
    for dice, size in ((0.9, 5000), (0.8, 200), (0.7, 300)):
        trial = study.ask()
        config.build_space().suggest(trial)
        study._storage.set_trial_intermediate_value(trial._trial_id, 3, dice)
        trial.set_user_attr("threshold", 0.5)
        study.tell(trial, [dice, size])
    page = page_of(config, study, tmp_path)
    assert "Trial 0 is the best: Dice 0.9000 on the validation sections. That is by Dice" in page
    assert "2 runs make the Pareto front" in page
    assert FIGURES["front"] in page
    label = "parameters (weights that training changes)"
    assert cells(label, "5,000", "200", "300") in page
    assert cells("on the Pareto front", "yes", "yes", "no") in page
    facts = facts_of(tmp_path)
    assert facts["second_objective"] == "parameters"
    assert [(each["number"], each["value"], each["second"]) for each in facts["front"]] == [
        (0, 0.9, 5000.0),
        (1, 0.8, 200.0),
    ]
    assert facts["best"][2]["second"] == 300


def test_of_one_objective_the_page_has_no_front(
    study: optuna.Study, config: Any, tmp_path: Path
) -> None:
    page = page_of(config, study, tmp_path)
    assert "Pareto" not in page
    facts = facts_of(tmp_path)
    assert (facts["second_objective"], facts["front"]) == (None, [])
    assert "second" not in facts["best"][0]
