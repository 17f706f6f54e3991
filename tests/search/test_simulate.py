from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from search import cli
from search.pruners import expected_epochs
from search.simulate import Assumptions, load_simulated, simulate
from trainer.errors import InputError


def forecast(trials: int, slots: int, pruner: str = "hyperband", **assumed: Any) -> dict[str, Any]:
    config = load_simulated(
        None,
        budget__trials=trials,
        budget__price_per_device_hour=2.0,
        study__pruner=pruner,
        study__sampler="random" if pruner == "asha" else "tpe",
    )
    result = asdict(simulate(config, Assumptions(slots=slots, **assumed)))
    assert result.pop("wall_seconds") > 0
    return result


def test_the_same_assumptions_give_the_same_forecast() -> None:
    first, second = (forecast(30, 4, lost_share=0.02) for _ in range(2))
    assert first == second


def test_slots_are_busy_while_there_are_trials_to_begin() -> None:
    told = forecast(60, 8)
    assert told["idle_share"] == 0
    assert told["trials"] == 60
    assert told["counts"]["PRUNED"] > told["counts"]["COMPLETE"] > 0
    assert told["counts"]["RUNNING"] == told["counts"]["WAITING"] == 0
    assert told["cost"] == pytest.approx(2.0 * told["device_hours"])
    assert told["rented_device_hours"] == pytest.approx(8 * told["virtual_hours"])
    assert told["device_hours"] <= told["rented_device_hours"]


@pytest.mark.parametrize("lost_share", [0.0, 0.05])
def test_promotions_leave_no_slot_idle_and_count_as_no_trial(lost_share: float) -> None:
    told = forecast(120, 8, pruner="asha", lost_share=lost_share)
    counts = told["counts"]
    assert told["idle_share"] == 0
    assert told["trials"] == 120
    assert counts["RUNNING"] == counts["WAITING"] == 0
    # Every trial but those that go on: a promotion is one more, and so is what was lost.
    assert sum(counts.values()) - counts["FAIL"] > 120
    # Half pass each rung, and some have done so before there were better ones.
    expected = expected_epochs("asha", epochs=9)
    assert expected == pytest.approx(1 + 1 / 2 + 2 / 4 + 5 / 8)
    assert 0.85 * expected < told["epochs"] / 120 < 1.35 * expected


def test_more_slots_take_less_time_and_longer_epochs_more() -> None:
    few, many, slow = forecast(40, 2), forecast(40, 8), forecast(40, 8, epoch_seconds=600.0)
    assert many["virtual_hours"] < few["virtual_hours"] / 2
    assert slow["virtual_hours"] > 5 * many["virtual_hours"]


def test_what_is_assumed_of_an_epoch_is_said() -> None:
    said: list[str] = []
    simulate(load_simulated(None, budget__trials=3), Assumptions(slots=1), said.append)
    assert said[0].startswith("an epoch of a middling network is taken to last 60 s")
    assert re.match(r"\d+ repeats of \d+ epochs come on top", said[1])


def test_failures_cost_time_and_no_trial() -> None:
    told = forecast(40, 4, lost_share=0.1, memory_share=0.02, diverged_share=0.02)
    assert told["trials"] == 40
    assert told["counts"]["FAIL"] > 0
    assert told["ending"] == "done"


def test_the_coordinators_own_work_can_be_counted() -> None:
    told = forecast(20, 4, epoch_seconds=0.05, count_coordinator=True)
    assert 0 < told["idle_share"] < 1


def test_a_search_that_is_better_is_found_with_more_trials() -> None:
    assert forecast(80, 8)["best_value"] > forecast(8, 8)["best_value"]


@pytest.mark.parametrize(
    ("assumed", "problem"),
    [
        ({"slots": 0}, "--slots: expected at least 1, got 0"),
        ({"slots": 1, "epoch_seconds": 0.0}, "--epoch-seconds: expected seconds above 0, got 0"),
        ({"slots": 1, "epoch_seconds": float("nan")}, "--epoch-seconds: .* got nan"),
        ({"slots": 1, "epoch_seconds": float("inf")}, "--epoch-seconds: .* got inf"),
    ],
)
def test_impossible_assumptions_are_refused(assumed: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Assumptions(**assumed)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["unet-search", "simulate", *arguments])
        return cli._run()

    return run


def test_command_prints_what_it_would_take(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--trials", "10", "--slots", "2", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    keys = {"trials", "counts", "idle_share", "virtual_hours", "device_hours", "cost"}
    assert keys | {"wall_seconds"} <= set(told)
    assert told["cost"] is None
    assert command("--trials", "10", "--slots", "2", "--price", "3") == 0
    out = capsys.readouterr().out
    assert "10 trials on 2 slots" in out
    assert "in money" in out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nowhere.toml"], "nowhere.toml"),
        (["--curves", "nowhere.json"], "nowhere.json: expected a file of trials"),
        (["--lost-share", "0.7", "--memory-share", "0.7"], "failures: expected shares"),
        (["--epoch-seconds", "-1"], "--epoch-seconds: expected seconds above 0, got -1"),
        (["--price", "-1"], "price_per_device_hour"),
    ],
)
def test_wrong_input_is_one_line(
    arguments: list[str],
    problem: str,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(*arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert problem in line
