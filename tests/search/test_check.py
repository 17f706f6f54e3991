"""What `check` shows of a search before it is started; its figures are tested in a real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_config import build_config

from search import check
from search.check_view import describe_check, show_hours
from search.config import Config
from search.data import StudyData, load_data
from search.memory_watch import room_bytes
from search.presentation import present_check
from search.timing import Timing, time_networks
from trainer.device import Device
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters

CPU = Device("2 CPU cores", "cpu", "float32")


def test_a_gpu_has_its_own_memory_and_may_not_say_how_much() -> None:
    assert room_bytes(5, Device("Made Up", "gpu", "float32", 1, memory_bytes=3)) == 3
    assert room_bytes(5, Device("Made Up", "gpu", "float32", 1)) is None
    assert room_bytes(5, CPU) == 5
    assert (room_bytes(None, CPU) or 0) > 10**8


FACTS: dict[str, Any] = {
    "notes": ["volume: a note"],
    "database": "sqlite",
    "device": {"name": "2 cores", "precision": "float32", "slots": 2},
    "nodes": None,
    "rungs": [[1, 3]],
    "parameters": 1000,
    "networks": [],
    "rehearsal": None,
    "price": {},
    "epoch_seconds": 2.0,
    "finalists": {"count": 3, "seeds": 2, "folds": 1, "repeats": 6},
    "hours": {"search_expected": 1.0, "search_at_most": 2.0, "finalists": 0.5, "final": 0.25},
    "cost": {"device_hours": 1.0, "money": None},
    "parts": {
        "search": {"hours": [1.0, 1.0], "device_hours": [2.0, 2.0], "money": None},
        "finalists": {"hours": [0.5, 0.5], "device_hours": [0.75, 0.75], "money": None},
        "final": {"hours": [0.25, 0.5], "device_hours": [0.5, 1.0], "money": None},
        "in_all": {"hours": [1.75, 2.0], "device_hours": [3.25, 3.75], "money": None},
    },
    "disk_bytes": 1e6,
}


@pytest.mark.parametrize(
    ("brackets", "line"),
    [
        ([[1, 3], [3], []], "rungs: after epoch 1, 3; 3; none"),
        ([[]], "rungs: none, every trial runs to its end"),
        ([], "rungs: none, every trial runs to its end"),
    ],
)
def test_rungs_are_told_where_there_are_any(brackets: list[list[int]], line: str) -> None:
    assert line in list(describe_check({**FACTS, "rungs": brackets}))


NOTHING = {"hours": [0.0, 0.0], "device_hours": [0.0, 0.0], "money": None}


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def show(**facts: Any) -> str:
        present_check(FACTS | facts)
        return " ".join(capsys.readouterr().out.split())

    return show


def test_the_repeats_of_the_finalists_are_told_first(shown: Callable[..., str]) -> None:
    told = "finalists: 6 trials at full length, beside the budget: about 30 minutes; 0.75 device"
    assert told in shown()
    assert "finalists" not in shown(finalists={"repeats": 0})


def test_the_final_training_is_told_where_there_is_one(shown: Callable[..., str]) -> None:
    told = "final training: between 15 and 30 minutes; 0.50 to 1.00 device hours"
    assert told in shown()
    assert "final training" not in shown(parts=FACTS["parts"] | {"final": NOTHING})


def test_all_parts_have_a_sum(shown: Callable[..., str]) -> None:
    assert "in all: between 105 minutes and 2.0 hours; 3.25 to 3.75 device hours disk" in shown()
    parts = {name: part | {"money": [9.0, 12.5]} for name, part in FACTS["parts"].items()}
    assert "3.25 to 3.75 device hours for 9.00 to 12.50 in money" in shown(parts=parts)
    # Of the search alone it would say the same once more.
    alone = FACTS["parts"] | {"final": NOTHING}
    assert "in all" not in shown(parts=alone, finalists={"repeats": 0})


def test_how_long_trials_were_in_a_simulation_is_told(shown: Callable[..., str]) -> None:
    rehearsal = {
        "searches": 3,
        "trials": 20,
        "epochs_of_a_trial": [3.45, 4.2, 3.6],
        "mean_epochs_of_a_trial": 3.75,
        "full_epochs": 9,
    }
    told = "of its 9 epochs (3.5 to 4.2 in 3 simulated searches of 20 trials, with made-up"
    assert told in shown(rehearsal=rehearsal)
    assert "simulated" not in shown()


def test_a_short_search_is_not_said_to_take_no_time(shown: Callable[..., str]) -> None:
    parts = FACTS["parts"] | {"search": NOTHING | {"hours": [0.004, 0.004]}}
    told = shown(hours={"search_at_most": 0.004}, parts=parts)
    assert "search: about 1 minute, at most 1 minute" in told


def test_the_price_of_a_large_grid_can_be_read(shown: Callable[..., str]) -> None:
    grid = {
        "trials": 1_234_567_890,
        "hours": 3_443_737_680.0,
        "device_hours": 6_887_475_360.0,
        "money": 2e15,
    }
    assert (
        "price of a full grid: 1.23 billion trials, about 392,852 years, 6.89 billion device hours "
        "for 2.0e+15 in money"
    ) in shown(price={"grid": grid})


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (None, "an unknown time"),
        (0.0, "0 minutes"),
        (0.001, "1 minute"),
        (1.5, "90 minutes"),
        (95.0, "95.0 hours"),
        (240.0, "10 days"),
        (8766.0 * 3, "3 years"),
        (8766e7, "10.00 million years"),
    ],
)
def test_hours_are_said_in_the_unit_that_suits_them(hours: float | None, text: str) -> None:
    assert show_hours(hours) == text


def timings(config: Config, *_: Any) -> list[Timing]:
    return [Timing("small", 10, 60.0), Timing("default", 20, 120.0), Timing("largest", 30, 360.0)]


def facts_of(config: Config, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr("search.check.configure_device", lambda *_, **__: CPU)
    monkeypatch.setattr("search.check.time_networks", timings)
    return check.check(config)


def test_the_most_is_by_the_longest_epoch_and_the_rest_by_the_default_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = facts_of(build_config(tmp_path, study={"pruner": "none"}), monkeypatch)
    # 4 trials of 3 epochs, one after the other.
    assert facts["hours"]["search_at_most"] == 1.2
    assert facts["hours"]["search_expected"] == 0.4
    assert facts["cost"] == {"device_hours": 0.4, "money": None}
    assert facts["rehearsal"] is None
    assert facts["parts"]["in_all"]["hours"] == [0.4, 0.4]


def test_what_is_expected_of_a_search_is_what_it_came_to_in_simulations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = build_config(tmp_path, study={"epochs_per_trial": 9}, budget={"trials": 12})
    facts = facts_of(config, monkeypatch)
    each = facts["rehearsal"]["epochs_of_a_trial"]
    hours = [epochs * 12 * 120 / 3600 for epochs in (min(each), max(each))]
    assert facts["parts"]["search"]["hours"] == pytest.approx(hours, abs=0.01)
    assert hours[0] < facts["hours"]["search_expected"] < hours[1]


def test_the_default_network_is_the_first_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[int] = []

    def time_one(config: Config, data: StudyData, device: Device, run: Hyperparameters) -> Timing:
        timed.append(run.filters)
        return Timing("", 1, 1.0)

    monkeypatch.setattr("search.timing._time", time_one)
    space = {"filters": [2, 4, 8, 16], "depth": 1, "tile_size": 16}
    for start in ([{"filters": 4}], []):
        config = build_config(tmp_path, space=space, start=start)
        time_networks(config, load_data(config), CPU)
    assert timed == [2, 4, 16, 2, 8, 16]


def test_checkpoints_are_of_the_largest_network_that_is_known_to_be_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = {"filters": [4, 8, 16], "depth": 1, "tile_size": 16}
    config = build_config(tmp_path, space=space, start=[{"filters": 16}])
    data, default = load_data(config), Timing("default", 100, 1.0)
    alone = build_config(tmp_path, space=space)
    assert check._kept_weights(alone, data, CPU, default) == 100
    assert check._kept_weights(config, data, CPU, default) > 1000
    # A start that no worker has room for leaves no checkpoint.
    monkeypatch.setattr("search.check.room_bytes", lambda limit, device: 10_000)
    assert check._kept_weights(config, data, CPU, default) == 100


def test_the_largest_node_is_known_and_a_cluster_may_have_none_yet() -> None:
    nodes = [{"cpus": 4.0}, {"cpus": 17.0}]
    assert check._Cluster(nodes, slots=9).slots_of_a_node(2) == 8
    assert check._Cluster([], slots=0).slots_of_a_node(2) == 1


@pytest.mark.parametrize(
    ("workers", "gpus", "slots"),
    [
        ({"cpus_per_trial": 1, "gpus_per_trial": 0.5}, 1, 2),
        ({"cpus_per_trial": 1, "gpus_per_trial": 1}, 0, None),
        ({"cpus_per_trial": 4096}, 0, None),
        ({"cpus_per_trial": 4096, "where": "inline"}, 0, 1),
    ],
)
def test_what_run_has_no_room_for_check_refuses(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: dict[str, Any],
    gpus: int,
    slots: int | None,
) -> None:
    monkeypatch.setattr("search.check.usable_cores", lambda: 4)
    config = build_config(tmp_path, workers={"where": "ray", **workers})
    if slots is not None:
        assert check._slots(config, gpus) == slots
        return
    with pytest.raises(InputError, match=rf"this machine has \(4 CPUs, {gpus} GPUs\), got"):
        check._slots(config, gpus)
