from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_config import build_config

from search.estimate import count_repeats, estimate_cost, estimate_hours


@pytest.mark.parametrize(
    ("budget", "gpus", "expected", "most"),
    [
        # 4 trials of 3 epochs of half an hour, two at a time; half of an epoch is saved by pruning.
        ({"trials": 4}, 0, None, 3.0),
        # The fifth has a slot for itself, and the other slot nothing.
        ({"trials": 5}, 0, None, 4.5),
        ({"trials": None, "epochs": 8}, 0, 2.0, 2.0),
        ({"trials": None, "hours": 1.5}, 0, 1.5, 1.5),
        ({"trials": None, "device_hours": 5.0}, 0, 2.5, 2.5),
        ({"trials": None, "device_hours": 5.0}, 0.5, 5.0, 5.0),
        ({"trials": None, "money": 12.0, "price_per_device_hour": 3.0}, 1, 2.0, 2.0),
        ({"device_hours": 1.0}, 0, 0.5, 0.5),
        ({"hours": 0.25, "money": 12.0, "price_per_device_hour": 3.0}, 0, 0.25, 0.25),
    ],
)
def test_the_least_of_all_limits_is_what_a_search_takes(
    tmp_path: Path, budget: dict[str, Any], gpus: float, expected: float | None, most: float
) -> None:
    config = build_config(tmp_path, budget=budget, workers={"gpus_per_trial": gpus})
    hours = estimate_hours(config, epoch_seconds=1800, slots=2)
    assert hours["search_at_most"] == pytest.approx(most)
    if expected is None:
        assert 0 < hours["search_expected"] < most
    else:
        assert hours["search_expected"] == pytest.approx(expected)


def test_final_training_has_all_cores_and_no_more_gpus(tmp_path: Path) -> None:
    final = {"epochs": 10}
    alone, sharing = (
        estimate_hours(
            build_config(tmp_path, final=final, workers={"gpus_per_trial": gpus}), 1800, slots=2
        )["final"]
        for gpus in (0, 1)
    )
    assert (alone, sharing) == (2.5, 5.0)


@pytest.mark.parametrize(
    ("seeds", "gpus", "slots", "hours"),
    [
        # 10 epochs of half an hour on one slot.
        (1, 0, 4, 1.25),
        (2, 0, 4, 2.5),
        # A core of the four has nothing to do.
        (3, 0, 4, 5.0),
        (5, 0, 4, 10.0),
        (2, 1, 4, 5.0),
        (2, 1, 1, 10.0),
    ],
)
def test_final_trainings_of_several_seeds_share_the_cores(
    tmp_path: Path, seeds: int, gpus: int, slots: int, hours: float
) -> None:
    config = build_config(
        tmp_path, final={"epochs": 10, "seeds": seeds}, workers={"gpus_per_trial": gpus}
    )
    assert estimate_hours(config, 1800, slots=slots)["final"] == hours


def test_cost_is_that_of_the_devices_that_trials_hold(tmp_path: Path) -> None:
    priced = build_config(
        tmp_path, budget={"price_per_device_hour": 3.0}, workers={"gpus_per_trial": 0.5}
    )
    assert estimate_cost(priced, trial_hours=8.0) == {"device_hours": 4.0, "money": 12.0}
    assert estimate_cost(build_config(tmp_path), trial_hours=8.0)["money"] is None


@pytest.mark.parametrize(
    ("budget", "finalists", "repeats", "hours"),
    [
        # Each is 3 epochs of half an hour; two run at a time.
        ({}, {"count": 1}, 0, 0.0),
        ({}, {"count": 3, "seeds": 1, "folds": 1}, 3, 3.0),
        ({}, {"count": 3, "seeds": 2, "folds": 2}, 12, 9.0),
        ({"trials": 2}, {"count": 3, "seeds": 2, "folds": 1}, 4, 3.0),
        ({"trials": 1}, {"count": 3, "seeds": 2, "folds": 1}, 0, 0.0),
        ({"trials": None, "epochs": 90}, {"count": 2, "seeds": 1, "folds": 1}, 2, 1.5),
    ],
)
def test_repeats_fill_the_slots_in_waves(
    tmp_path: Path, budget: dict[str, Any], finalists: dict[str, Any], repeats: int, hours: float
) -> None:
    config = build_config(tmp_path, budget=budget, finalists=finalists)
    assert count_repeats(config) == repeats
    assert estimate_hours(config, epoch_seconds=1800, slots=2)["finalists"] == hours


def test_the_final_training_has_the_cores_of_one_node(tmp_path: Path) -> None:
    config = build_config(tmp_path, final={"epochs": 8})
    hours = [
        estimate_hours(config, epoch_seconds=1800, slots=8, slots_of_a_node=slots)["final"]
        for slots in (None, 2)
    ]
    assert hours == [0.5, 2.0]
