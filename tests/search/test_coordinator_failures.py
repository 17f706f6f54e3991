"""What becomes of trials that fail."""

from __future__ import annotations

import optuna
import pytest
from search_rig import (
    BROKEN,
    COMPLETE,
    DIVERGED,
    FAIL,
    LOST,
    PRUNED,
    RUNNING,
    TOO_LARGE,
    SearchRig,
    error,
)

from search.assignment import Failure
from search.budget import Budget
from search.lineage import GOES_ON
from search.terms import Ending


def test_a_lost_worker_costs_an_attempt_and_no_epoch(rig: SearchRig) -> None:
    workers = rig.workers(1, {(0, 2): LOST})
    rig.run(Budget(trials=2), workers)
    lost, retried, other = rig.trials()
    assert (lost.state, lost.user_attrs["reason"]) == (FAIL, LOST.reason)
    assert (retried.state, other.state) == (COMPLETE, COMPLETE)
    assert (retried.user_attrs["retried_from"], retried.user_attrs["attempt"]) == (0, 1)
    assert retried.params == lost.params
    assert len(workers.trained) == 6


def test_a_full_disk_ends_the_search_and_costs_no_trial(rig: SearchRig) -> None:
    full = Failure("storage", "epoch-2.npz could not be written")
    ending = rig.run(Budget(trials=2), rig.workers(1, {(0, 2): full}))
    assert ending == Ending("failed", full.reason)
    workers = rig.workers()
    assert rig.run(Budget(trials=2), workers).kind == "done"
    assert [trial.state for trial in rig.trials()] == [FAIL, COMPLETE, COMPLETE]
    assert len(workers.trained) == 5, "the epoch before the disk was full is not trained again"


def test_a_cluster_without_room_ends_the_search_and_costs_no_attempt(rig: SearchRig) -> None:
    crowded = Failure("unplaced", "no worker was given a place")
    rig.retries = 0
    for trials in (1, 2):
        ending = rig.run(Budget(trials=1), rig.workers(1, {(trials - 1, 0): crowded}))
        assert ending == Ending("failed", crowded.reason)
        assert len(rig.trials(FAIL)) == trials
    assert rig.run(Budget(trials=1)).kind == "done"
    assert [trial.state for trial in rig.trials()] == [FAIL, FAIL, COMPLETE]
    assert rig.standing.spent.trials == 1


def test_a_trial_is_retried_so_often_and_no_more(quick_rig: SearchRig) -> None:
    workers = quick_rig.workers(1, {(number, 1): LOST for number in range(3)})
    assert quick_rig.run(Budget(trials=2), workers).kind == "done"
    trials = quick_rig.trials()
    assert [trial.state for trial in trials] == [FAIL, FAIL, FAIL, COMPLETE]
    assert [trial.user_attrs.get("retried_from") for trial in trials] == [None, 0, 1, None]
    assert GOES_ON not in trials[2].user_attrs
    assert quick_rig.standing.counts == {"FAIL": 1, "COMPLETE": 1}


def test_interruptions_are_no_attempts(quick_rig: SearchRig) -> None:
    quick_rig.retries = 1
    for epochs in (1, 1, 1):
        workers = quick_rig.workers()
        quick_rig.run(Budget(trials=1), workers, lambda: len(workers.trained) >= epochs)  # noqa: B023
    (complete,) = quick_rig.trials(COMPLETE)
    assert complete.number == 2


def test_a_node_that_is_lost_with_all_its_workers_does_not_end_the_search(
    quick_rig: SearchRig,
) -> None:
    workers = quick_rig.workers(5, {(number, 1): LOST for number in range(5)})
    assert quick_rig.run(Budget(trials=5), workers).kind == "done"
    assert len(quick_rig.trials(COMPLETE)) == 5


def test_workers_that_are_lost_whatever_they_do_end_the_search(quick_rig: SearchRig) -> None:
    workers = quick_rig.workers(2, {(number, 0): LOST for number in range(100)})
    ending = quick_rig.run(Budget(trials=50), workers)
    assert ending == Ending("failed", f"3 trials in a row failed: {LOST.reason}")
    assert len(quick_rig.trials()) < 15


def test_a_diverged_trial_is_not_retried(quick_rig: SearchRig) -> None:
    workers = quick_rig.workers(1, {(number, 2): DIVERGED for number in range(4)})
    assert quick_rig.run(Budget(trials=5), workers).kind == "done"
    trials = quick_rig.trials()
    assert [trial.state for trial in trials] == [FAIL] * 4 + [COMPLETE]
    assert trials[0].user_attrs["reason"] == DIVERGED.reason
    assert quick_rig.checkpoints.trials() == [4]


def test_what_does_not_fit_into_memory_is_infeasible_and_not_tried_again(rig: SearchRig) -> None:
    script = {(number, 1): TOO_LARGE for number in range(5)}
    assert rig.run(Budget(trials=6), rig.workers(2, script)).kind == "done"
    trials = rig.trials()
    assert [trial.state for trial in trials] == [PRUNED] * 5 + [COMPLETE]
    for trial in trials[:5]:
        assert trial.constraints == {"memory": 1.0}
        assert trial.user_attrs["reason"] == TOO_LARGE.reason
    assert rig.checkpoints.trials() == [5]


def test_three_errors_of_one_cause_end_the_search(quick_rig: SearchRig) -> None:
    workers = quick_rig.workers(2, {(number, 1): BROKEN for number in range(9)})
    ending = quick_rig.run(Budget(trials=9), workers)
    assert ending == Ending("failed", "3 trials in a row failed: TypeError: unhashable")
    assert quick_rig.trials(RUNNING) == []
    failed = [trial for trial in quick_rig.trials(FAIL) if GOES_ON not in trial.user_attrs]
    assert 3 <= len(failed) <= 4
    assert failed[0].user_attrs["traceback"] == BROKEN.traceback
    assert workers.held == {}


@pytest.mark.parametrize(
    "script",
    [
        {(0, 1): BROKEN, (1, 1): BROKEN, (2, 1): error("other"), (3, 1): BROKEN},
        {(number, 1): error("one text", f"TypeError at x.py:{number}") for number in range(4)},
        {(0, 1): BROKEN, (2, 1): BROKEN, (4, 1): BROKEN},
    ],
    ids=["another reason", "another place", "trials between"],
)
def test_errors_that_are_not_three_of_one_cause_in_a_row_end_nothing(
    quick_rig: SearchRig, script: dict[tuple[int, int], Failure]
) -> None:
    assert quick_rig.run(Budget(trials=6), quick_rig.workers(1, script)).kind == "done"
    assert len(quick_rig.trials()) == 6


def test_errors_of_one_place_are_of_one_cause_whatever_they_say(quick_rig: SearchRig) -> None:
    place = "KeyError at tiles.py:12"
    workers = quick_rig.workers(1, {(n, 1): error(f"KeyError: {n}", place) for n in range(9)})
    assert quick_rig.run(Budget(trials=9), workers) == Ending(
        "failed", "3 trials in a row failed: KeyError: 2"
    )


def test_epochs_of_other_trials_do_not_come_between_errors(quick_rig: SearchRig) -> None:
    quick_rig.epochs = 9
    script = {(number, 1): BROKEN for number in range(1, 9)}
    workers = quick_rig.workers(2, script)
    assert quick_rig.run(Budget(trials=9), workers).kind == "failed"
    assert {trial for trial, _ in workers.trained} == {0}
    assert len(workers.trained) > 1


def test_a_pruned_trial_comes_between_errors(quick_rig: SearchRig) -> None:
    quick_rig.pruner = optuna.pruners.ThresholdPruner(lower=2.0)
    script = {(number, 1): BROKEN for number in (0, 1, 3, 4)}
    assert quick_rig.run(Budget(trials=6), quick_rig.workers(1, script)).kind == "done"
    states = [trial.state for trial in quick_rig.trials()]
    assert states == [FAIL, FAIL, PRUNED, FAIL, FAIL, PRUNED]
