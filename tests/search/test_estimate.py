from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_config import build_config

from search.disk import estimate_disk_bytes
from search.estimate import (
    count_repeats,
    estimate_cost,
    estimate_hours,
    estimate_parts,
    estimate_price,
)
from search.first_runs import first_runs
from search.rehearsal import rehearse
from search.simulate import Assumptions, simulate


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
        # One trial leaves the other slot idle, and no device hour is spent there.
        ({"trials": 1, "device_hours": 1.0}, 0, 1.0, 1.0),
        ({"trials": 1, "money": 3.0, "price_per_device_hour": 3.0}, 0, 1.0, 1.0),
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


def test_a_search_is_as_long_as_a_whole_trial_however_many_slots_there_are(tmp_path: Path) -> None:
    hours = estimate_hours(build_config(tmp_path), epoch_seconds=1800, slots=100)
    assert hours["search_expected"] == hours["search_at_most"] == 1.5
    # 4 epochs of 4 trials at a time end a search that counts epochs.
    few = build_config(tmp_path, budget={"trials": 4, "epochs": 4})
    assert estimate_hours(few, epoch_seconds=1800, slots=100)["search_expected"] == 0.5


@pytest.mark.parametrize(
    "study",
    [
        {"pruner": "none"},
        {"sampler": "grid", "pruner": "none"},
        {"sampler": "one_at_a_time", "pruner": "none"},
    ],
)
def test_what_is_never_stopped_fills_the_slots_in_waves(
    tmp_path: Path, study: dict[str, str]
) -> None:
    config = build_config(tmp_path, study=study)
    # 4 trials of 3 epochs of half an hour: the fourth begins when the first three have ended.
    assert estimate_hours(config, epoch_seconds=1800, slots=3)["search_expected"] == 3.0


def test_a_table_of_trials_is_no_shorter_than_its_waves(tmp_path: Path) -> None:
    price = estimate_price(build_config(tmp_path), epoch_seconds=1800, slots=5)
    # 6 combinations and 4 runs of an hour and a half.
    assert (price["grid"]["hours"], price["grid"]["device_hours"]) == (3.0, 9.0)
    assert (price["one_at_a_time"]["hours"], price["one_at_a_time"]["device_hours"]) == (1.5, 6.0)


def test_device_hours_are_those_of_epochs_and_not_of_rounded_hours(tmp_path: Path) -> None:
    config = build_config(tmp_path)
    # 4 trials of 2 epochs of a second, 8 seconds in all.
    row = estimate_price(config, epoch_seconds=1.0, slots=3)["search"]
    assert (row["hours"], row["device_hours"]) == (0.001, 0.002)
    # Half of the slots have no trial, and hold no device.
    assert estimate_price(config, epoch_seconds=1800, slots=8)["search"]["device_hours"] == 4.0


def test_the_most_of_a_search_is_by_its_longest_epochs(tmp_path: Path) -> None:
    hours = estimate_hours(build_config(tmp_path), 1800, slots=2, longest_seconds=3600)
    assert hours["search_at_most"] == 6.0
    assert hours["search_expected"] < 3.0
    shorter = estimate_hours(build_config(tmp_path), 1800, slots=2, longest_seconds=900)
    assert shorter["search_at_most"] == 3.0


def test_several_guesses_at_the_length_of_a_trial_make_a_range(tmp_path: Path) -> None:
    hours = estimate_hours(build_config(tmp_path), 1800, slots=2, epochs_each=[2.0, 2.5, 1.8])
    names = ("search_expected_low", "search_expected", "search_expected_high")
    assert [hours[name] for name in names] == [1.8, 2.1, 2.5]


def test_repeats_and_final_training_cost_as_well(tmp_path: Path) -> None:
    config = build_config(
        tmp_path,
        study={"pruner": "none"},
        budget={"price_per_device_hour": 2.0},
        finalists={"count": 3, "seeds": 1},
        final={"epochs": 10},
    )
    parts = estimate_parts(config, epoch_seconds=1800, slots=2)
    assert parts == {
        "search": {"hours": [3.0, 3.0], "device_hours": [6.0, 6.0], "money": [12.0, 12.0]},
        # The third repeat has a slot beside it that nothing is done on.
        "finalists": {"hours": [3.0, 3.0], "device_hours": [4.5, 4.5], "money": [9.0, 9.0]},
        # It holds the cores of both slots, and may be none the faster.
        "final": {"hours": [2.5, 5.0], "device_hours": [5.0, 10.0], "money": [10.0, 20.0]},
        "in_all": {"hours": [8.5, 11.0], "device_hours": [15.5, 20.5], "money": [31.0, 41.0]},
    }
    free = estimate_parts(build_config(tmp_path), epoch_seconds=1800, slots=2)
    assert [part["money"] for part in free.values()] == [None] * 4


def test_final_training_has_all_cores_and_no_more_gpus(tmp_path: Path) -> None:
    final = {"epochs": 10}
    alone, sharing = (
        estimate_hours(
            build_config(tmp_path, final=final, workers={"gpus_per_trial": gpus}), 1800, slots=2
        )
        for gpus in (0, 1)
    )
    # More cores than a trial of the search has may make it as much faster, or not at all.
    assert (alone["final_at_least"], alone["final"]) == (2.5, 5.0)
    assert (sharing["final_at_least"], sharing["final"]) == (5.0, 5.0)


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
    assert estimate_hours(config, 1800, slots=slots)["final_at_least"] == hours


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
        estimate_hours(config, epoch_seconds=1800, slots=8, slots_of_a_node=slots)["final_at_least"]
        for slots in (None, 2)
    ]
    assert hours == [0.5, 2.0]


def test_a_short_simulation_tells_how_long_trials_are(tmp_path: Path) -> None:
    config = build_config(tmp_path, study={"epochs_per_trial": 9}, budget={"trials": 12})
    rehearsal = rehearse(config, epoch_seconds=60.0, slots=2)
    assert rehearsal is not None
    assert len(rehearsal.epochs_each) == 3
    told = simulate(config, Assumptions(slots=2, epoch_seconds=60.0))
    assert rehearsal.epochs_each[0] == told.epochs / 12
    row = rehearsal.to_json()
    assert (row["searches"], row["trials"], row["full_epochs"]) == (3, 12, 9)


def test_of_a_long_search_only_the_beginning_is_simulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.rehearsal._MOST_TRIALS", 4)
    asked: list[tuple[int | None, str, float | None, int]] = []

    def told(config: Any, assumptions: Assumptions) -> Any:
        budget, sampler = config.budget, config.study.sampler
        asked.append((budget.trials, sampler, budget.hours, assumptions.slots))
        return simulate(config, assumptions)

    monkeypatch.setattr("search.rehearsal.simulate", told)
    # Trials take no seconds to draw, no other limit ends it, and a slot has as many of them.
    config = build_config(tmp_path, study={"sampler": "gp"}, budget={"trials": 40, "hours": 0.01})
    assert rehearse(config, epoch_seconds=60.0, slots=20) is not None
    assert asked == [(4, "random", None, 2)] * 3


@pytest.mark.parametrize(
    ("study", "budget"),
    [
        ({"pruner": "none"}, {}),
        ({"pruner": "patient"}, {}),
        ({}, {"trials": None, "hours": 1.0}),
    ],
)
def test_where_nothing_is_cut_short_nothing_is_simulated(
    tmp_path: Path, study: dict[str, str], budget: dict[str, Any]
) -> None:
    config = build_config(tmp_path, study=study, budget=budget)
    assert rehearse(config, epoch_seconds=60.0, slots=2) is None


@pytest.mark.parametrize(
    ("space", "of_a_weight"),
    [
        ({}, 12),
        ({"ema_momentum": 0.0}, 12),
        ({"ema_momentum": 0.99}, 16),
        ({"ema_momentum": [0.0, 0.99]}, 16),
    ],
)
def test_a_checkpoint_has_so_many_bytes_of_a_weight(
    tmp_path: Path, space: dict[str, Any], of_a_weight: int
) -> None:
    config = build_config(
        tmp_path, space={"depth": 2, **space}, study={"pruner": "none", "keep": 1}
    )
    # One that runs and one that is kept, two files each.
    assert estimate_disk_bytes(config, parameters=1000, slots=1) == 2 * 2 * 1000 * of_a_weight


def test_checkpoints_are_those_of_all_that_may_go_on(tmp_path: Path) -> None:
    def count(slots: int = 2, **sections: Any) -> float:
        config = build_config(tmp_path, **{"study": {"pruner": "none", "keep": 1}, **sections})
        return estimate_disk_bytes(config, parameters=1, slots=slots) / 24

    assert count() == 3
    # No more of them run than there are.
    assert count(slots=100) == 5
    assert count(study={"pruner": "asha", "keep": 1}) == 3 + 4
    assert count(finalists={"count": 2, "seeds": 3}, final={"epochs": 1, "seeds": 2}) == 4 + 6 + 2


def test_the_final_trainings_of_earlier_winners_are_on_the_disk(tmp_path: Path) -> None:
    config = build_config(tmp_path, study={"pruner": "none", "keep": 1}, final={"epochs": 1})
    before = estimate_disk_bytes(config, parameters=1, slots=1)
    (config.final_checkpoints / "00000").mkdir(parents=True)
    assert estimate_disk_bytes(config, parameters=1, slots=1) == before + 24


def test_a_search_begins_with_its_starts_and_ideas(tmp_path: Path) -> None:
    start = [{"learning_rate": 1e-3, "loss": "dice"}, {"loss": "bce"}]
    config = build_config(tmp_path, start=start)
    first, second = first_runs(config, config.build_space())
    assert (first.learning_rate, first.loss, second.loss) == (1e-3, "dice", "bce")
    # What it leaves open is from the middle.
    assert second.learning_rate == pytest.approx(1e-3)
    assert first_runs(build_config(tmp_path), config.build_space()) == []


def test_a_table_of_changes_begins_with_its_baseline(tmp_path: Path) -> None:
    config = build_config(
        tmp_path,
        study={"sampler": "one_at_a_time"},
        start=[{"loss": "dice"}],
        change=[{"name": "deeper", "depth": 3}],
    )
    runs = first_runs(config, config.build_space())
    assert [(run.loss, run.depth) for run in runs] == [("dice", 2), ("dice", 3)]
