from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from fake_workers import FakeWorkers, Killed, facts_after, learning_curve
from optuna.storages import BaseStorage
from optuna.trial import TrialState
from search_rig import SearchRig

from search import coordinator
from search.assignment import Failure
from search.budget import Budget
from search.lineage import GOES_ON, origin
from search.pruners import build_pruner, rungs
from search.space import Dimension, Space, build_space
from search.standing import DEVICE_SECONDS_SPENT, SECONDS_SPENT
from search.terms import Ending
from storage.checkpoints import Checkpoint
from storage.errors import CheckpointError, DatabaseError, StorageError, StudyLocked
from trainer.errors import InputError

LOST = Failure("lost", "the worker was lost: node 3 is gone")
DIVERGED = Failure("diverged", "the loss became nan in epoch 2")
TOO_LARGE = Failure("memory", "used 9.1 GB of its limit of 8 GB")
BROKEN = Failure("error", "TypeError: unhashable", "Traceback: all of it")
DISK_FULL = "epoch-1.npz could not be written (No space left on device): free some"
WAITING, RUNNING, FAIL = TrialState.WAITING, TrialState.RUNNING, TrialState.FAIL
COMPLETE, PRUNED = TrialState.COMPLETE, TrialState.PRUNED


@pytest.fixture
def rig(open_storage: Callable[[], BaseStorage], tmp_path: Path) -> SearchRig:
    return SearchRig(open_storage, tmp_path)


@pytest.fixture
def quick_rig(tmp_path: Path) -> SearchRig:
    """In memory: for what does not depend on the storage."""
    storage = optuna.storages.InMemoryStorage()
    return SearchRig(lambda: storage, tmp_path)


def error(reason: str, cause: str = "") -> Failure:
    return Failure("error", reason, cause=cause)


class Clock:
    """A monotonic clock that goes on by an hour whenever somebody asks."""

    def __init__(self, step_seconds: float = 3600.0) -> None:
        self.now, self.step = 1000.0, step_seconds

    def __call__(self) -> float:
        self.now += self.step
        return self.now


# All trials of the budget


@pytest.mark.parametrize("slots", [1, 3])
def test_every_trial_of_the_budget_ends_complete_with_its_values(
    rig: SearchRig, slots: int
) -> None:
    workers = rig.workers(slots)
    assert rig.run(Budget(trials=5), workers) == Ending(
        "done", "every trial of the budget has ended"
    )
    trials = rig.trials()
    assert [trial.state for trial in trials] == [COMPLETE] * 5
    for trial in trials:
        run = rig.space.complete(trial.params)
        assert trial.intermediate_values == {
            epoch: learning_curve(run, epoch) for epoch in (1, 2, 3)
        }
        assert {name: trial.user_attrs[name] for name in facts_after(3)} == facts_after(3)
    assert len(workers.trained) == 15
    assert workers.held == {}


def test_a_worker_is_told_all_that_a_trial_is_made_of(quick_rig: SearchRig) -> None:
    workers = quick_rig.workers()
    quick_rig.run(Budget(trials=1), workers)
    (begun,) = workers.begun
    assert begun.hyperparameters == quick_rig.space.complete(quick_rig.trials()[0].params)
    assert begun.hyperparameters.depth == 2
    told = (begun.trial, begun.epochs, begun.tiles_per_epoch, begun.train_on, begun.seed)
    assert told == (0, 3, 5, "train", 11)


def test_the_standing_tells_what_there_is_to_show(quick_rig: SearchRig) -> None:
    quick_rig.run(Budget(trials=3), quick_rig.workers(2, {(1, 2): DIVERGED}))
    standing = quick_rig.standing
    best = max(quick_rig.trials(COMPLETE), key=lambda trial: trial.value or 0.0)
    assert standing.best == (best.number, best.value)
    assert standing.leading is not None
    assert standing.leading >= standing.best[1]
    assert standing.counts == {"COMPLETE": 2, "FAIL": 1}
    assert standing.running == {}
    assert (standing.spent.trials, standing.spent.epochs) == (3, 7)
    assert quick_rig.shown


def test_only_the_best_trials_keep_their_checkpoints(quick_rig: SearchRig) -> None:
    quick_rig.run(Budget(trials=6), quick_rig.workers(2))
    ranked = sorted(quick_rig.trials(), key=lambda trial: trial.value or 0.0, reverse=True)
    assert quick_rig.checkpoints.trials() == sorted(trial.number for trial in ranked[:2])


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_same_seed_on_one_worker_gives_the_same_trials(tmp_path: Path, sampler: str) -> None:
    runs = []
    for name in ("first", "second"):
        storage = optuna.storages.InMemoryStorage()
        rig = SearchRig(lambda storage=storage: storage, tmp_path / name)
        rig.sampler, rig.seed, rig.pruner = sampler, 5, build_pruner("hyperband", epochs=3)
        rig.run(Budget(trials=14))
        runs.append(
            [(trial.params, trial.state, trial.intermediate_values) for trial in rig.trials()]
        )
    assert runs[0] == runs[1]
    assert len({str(params) for params, _, _ in runs[0]}) == 14


# The pruner


def test_a_pruned_trial_says_why_and_leaves_no_checkpoint(rig: SearchRig) -> None:
    rig.epochs, rig.pruner = 9, build_pruner("hyperband", epochs=9)
    workers = rig.workers(2)
    rig.run(Budget(trials=12), workers)
    pruned = rig.trials(PRUNED)
    assert len(pruned) + len(rig.trials(COMPLETE)) == 12
    assert pruned
    stops = {rung for bracket in rungs("hyperband", epochs=9) for rung in bracket}
    for trial in pruned:
        assert trial.last_step in stops
        assert trial.user_attrs["reason"] == (
            f"stopped by the pruner after {trial.last_step} of 9 epochs"
        )
        assert trial.user_attrs["precision"] == facts_after(trial.last_step)["precision"]
        assert rig.checkpoints.epochs(trial.number) == []
    assert len(workers.trained) == sum(trial.last_step or 0 for trial in rig.trials())
    assert workers.held == {}


def test_the_last_epoch_completes_a_trial_that_the_pruner_would_stop(quick_rig: SearchRig) -> None:
    quick_rig.pruner = optuna.pruners.ThresholdPruner(lower=0.99, n_warmup_steps=3)
    quick_rig.run(Budget(trials=2))
    assert [trial.state for trial in quick_rig.trials()] == [COMPLETE] * 2


# The budget


def test_a_budget_of_epochs_ends_the_running_trials_for_now(quick_rig: SearchRig) -> None:
    workers = quick_rig.workers(2)
    assert quick_rig.run(Budget(epochs=7), workers) == Ending(
        "done", "the budget of 7 epochs is spent"
    )
    assert 7 <= len(workers.trained) <= 8
    assert quick_rig.standing.spent.epochs == len(workers.trained)
    stopped = quick_rig.trials(FAIL)
    assert stopped
    assert {trial.user_attrs["reason"] for trial in stopped} == {"the budget of 7 epochs is spent"}
    assert len(quick_rig.trials(WAITING)) == len(stopped)
    assert quick_rig.trials(RUNNING) == []


def test_a_larger_budget_goes_on_with_what_the_smaller_one_stopped(quick_rig: SearchRig) -> None:
    before = quick_rig.workers(2)
    quick_rig.run(Budget(trials=4, epochs=7), before)
    after = quick_rig.workers(2)
    quick_rig.run(Budget(trials=4), after)
    assert len(quick_rig.trials(COMPLETE)) == 4
    assert len(before.trained) + len(after.trained) == 12


def test_a_spent_budget_trains_nothing_more(quick_rig: SearchRig) -> None:
    quick_rig.run(Budget(trials=2))
    again = quick_rig.workers()
    assert quick_rig.run(Budget(trials=2), again).kind == "done"
    assert again.begun == []
    assert quick_rig.standing.spent.trials == 2
    assert quick_rig.standing.counts == {"COMPLETE": 2}


def test_hours_end_a_search_and_add_up_over_restarts(rig: SearchRig) -> None:
    first = rig.workers()
    ending = rig.run(Budget(hours=4), first, clock=Clock())
    assert ending == Ending("done", "the budget of 4 hours is spent")
    assert 0 < len(first.trained) <= 4
    spent = rig.study().user_attrs[SECONDS_SPENT]
    assert 4 * 3600 <= spent <= 5 * 3600
    again = rig.run(Budget(hours=4), rig.workers(), clock=Clock())
    assert again.reason == "the budget of 4 hours is spent"
    assert rig.study().user_attrs[SECONDS_SPENT] - spent <= 3600
    longer = rig.workers()
    rig.run(Budget(hours=9), longer, clock=Clock())
    assert 0 < len(longer.trained) <= 4
    assert rig.trials(RUNNING) == []


def test_device_hours_are_those_of_every_trial_that_holds_a_device(rig: SearchRig) -> None:
    ending = rig.run(Budget(device_hours=12), rig.workers(3), clock=Clock())
    assert ending == Ending("done", "the budget of 12 device hours is spent")
    assert rig.standing.spent.device_seconds >= 12 * 3600
    assert rig.standing.spent.seconds <= 8 * 3600
    assert rig.study().user_attrs[DEVICE_SECONDS_SPENT] == rig.standing.spent.device_seconds


def test_money_ends_a_search_at_its_price(rig: SearchRig) -> None:
    budget = Budget(money=6.0, price_per_device_hour=2.0)
    ending = rig.run(budget, rig.workers(), clock=Clock())
    assert ending == Ending("done", "the budget of 6 of money is spent")
    assert 3 * 3600 <= rig.standing.spent.device_seconds <= 4 * 3600


def test_a_running_trial_ends_with_its_epoch_when_the_budget_does(rig: SearchRig) -> None:
    workers = rig.workers(2)
    rig.run(Budget(epochs=3), workers)
    assert len(workers.trained) <= 4


# Stopped and gone on with


def test_an_interrupted_search_goes_on_where_it_stopped(rig: SearchRig) -> None:
    before = rig.workers(2)
    ending = rig.run(Budget(trials=4), before, lambda: len(before.trained) >= 4)
    assert ending == Ending("interrupted", "interrupted")
    stopped = rig.trials(FAIL)
    assert stopped
    assert all(trial.user_attrs[GOES_ON] for trial in stopped)
    successors = rig.trials(WAITING)
    assert [trial.user_attrs["retried_from"] for trial in successors] == [
        trial.number for trial in stopped
    ]
    assert before.held == {}
    assert "FAIL" not in rig.standing.counts

    after = rig.workers(2)
    assert rig.run(Budget(trials=4), after).kind == "done"
    assert len(rig.trials(COMPLETE)) == 4
    assert len(before.trained) + len(after.trained) == 12
    assert rig.standing.spent.trials == 4
    assert rig.standing.spent.epochs == 12
    for trial in rig.trials():
        if "retried_from" in trial.user_attrs:
            forerunner = rig.trials()[trial.user_attrs["retried_from"]]
            assert trial.params == forerunner.params
            assert trial.user_attrs["attempt"] == 0
            assert trial.user_attrs["inherited_epochs"] == forerunner.last_step
            assert rig.checkpoints.epochs(forerunner.number) == []


def test_a_stop_before_the_first_trial_begins_none(quick_rig: SearchRig) -> None:
    assert quick_rig.run(Budget(trials=4), stop_requested=lambda: True).kind == "interrupted"
    assert quick_rig.trials() == []


def test_a_stop_while_a_trial_is_being_set_up_loses_nothing(quick_rig: SearchRig) -> None:
    workers = quick_rig.workers(2)
    quick_rig.run(Budget(trials=3), workers, lambda: len(workers.begun) == 2)
    assert workers.trained == []
    assert len(quick_rig.trials(WAITING)) == 2
    quick_rig.run(Budget(trials=3))
    assert len(quick_rig.trials(COMPLETE)) == 3


def test_a_trial_that_ends_while_the_search_does_is_told_as_it_ended(quick_rig: SearchRig) -> None:
    workers = quick_rig.workers()
    quick_rig.run(Budget(trials=3), workers, lambda: len(workers.trained) >= 3)
    assert [trial.state for trial in quick_rig.trials()] == [COMPLETE]


def test_stopped_trials_go_on_before_others_and_after_the_budget_is_spent(
    quick_rig: SearchRig,
) -> None:
    study = quick_rig.study()
    for rate in (1e-4, 1e-3, 1e-2):
        study.enqueue_trial({"learning_rate": rate})
    workers = quick_rig.workers(2)
    quick_rig.run(Budget(trials=2), workers, lambda: len(workers.trained) >= 2)
    quick_rig.run(Budget(trials=2))
    assert quick_rig.standing.spent.trials == 2
    (left,) = quick_rig.trials(WAITING)
    assert left.system_attrs["fixed_params"] == {"learning_rate": 1e-2}
    assert len(quick_rig.trials(COMPLETE)) == 2


def kill(rig: SearchRig, workers: FakeWorkers) -> None:
    with pytest.raises(Killed):
        rig.run(Budget(trials=3), workers)


def test_a_killed_coordinators_trials_go_on_from_checkpoints_ahead_of_their_reports(
    rig: SearchRig,
) -> None:
    before = rig.workers(2, {(1, 2): Killed})
    kill(rig, before)
    orphans = rig.trials(RUNNING)
    assert [trial.number for trial in orphans] == [0, 1]
    assert orphans[1].last_step == 1
    assert rig.checkpoints.epochs(1) == [1, 2]

    after = rig.workers(2)
    rig.run(Budget(trials=3), after)
    assert len(rig.trials(COMPLETE)) == 3
    assert rig.trials(RUNNING) == []
    assert {trial.user_attrs["reason"] for trial in rig.trials(FAIL)} == {
        "the coordinator ended while the trial was running"
    }
    assert len(before.trained) + len(after.trained) == 9
    successor = next(t for t in rig.trials() if t.user_attrs.get("retried_from") == 1)
    assert successor.user_attrs["inherited_epochs"] == 2


def test_a_checkpoint_at_full_budget_completes_without_another_epoch(rig: SearchRig) -> None:
    kill(rig, rig.workers(1, {(0, 3): Killed}))
    after = rig.workers()
    rig.run(Budget(trials=1), after)
    assert after.trained == []
    (complete,) = rig.trials(COMPLETE)
    assert complete.user_attrs["retried_from"] == 0
    assert complete.user_attrs["precision"] == facts_after(3)["precision"]
    assert rig.checkpoints.epochs(complete.number) == [3]


def test_a_search_that_is_killed_again_and_again_ends_as_one_that_was_not(
    rig: SearchRig,
) -> None:
    trained: list[tuple[int, int]] = []
    for _ in range(20):
        known = len(rig.study().trials)
        numbers = range(known, known + 4)
        dying = rig.workers(2, {(number, epoch): Killed for number in numbers for epoch in (2, 3)})
        try:
            rig.run(Budget(trials=3), dying)
            break
        except Killed:
            trained += dying.trained
    else:
        pytest.fail("the search comes to no end")
    trained += dying.trained
    assert len(rig.trials(COMPLETE)) == 3
    assert len(trained) == 9
    assert rig.standing.spent.trials == 3


@pytest.mark.parametrize("moment", ["enqueue_trial", "tell"])
def test_a_death_around_the_tell_loses_nothing_and_doubles_nothing(
    rig: SearchRig, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise Killed

    workers = rig.workers()
    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, moment, die)
        with pytest.raises(Killed):
            rig.run(Budget(trials=2), workers, lambda: len(workers.trained) >= 2)
    after = rig.workers()
    rig.run(Budget(trials=2), after)
    assert len(rig.trials(COMPLETE)) == 2
    assert len(rig.trials(FAIL)) == 1
    assert len(workers.trained) + len(after.trained) == 6


def test_a_death_before_a_checkpoint_is_inherited_leaves_it_to_the_next_in_line(
    quick_rig: SearchRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(quick_rig, quick_rig.workers(1, {(0, 2): Killed}))

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(coordinator.lineage, "inherit_checkpoint", die)
        kill(quick_rig, quick_rig.workers())
    after = quick_rig.workers()
    quick_rig.run(Budget(trials=1), after)
    assert after.trained == [(2, 3)]
    assert quick_rig.checkpoints.trials() == [2]


def test_inherited_epochs_are_judged_at_the_rungs_that_they_passed(quick_rig: SearchRig) -> None:
    quick_rig.pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
    workers = quick_rig.workers()
    quick_rig.run(Budget(trials=1), workers, lambda: len(workers.trained) >= 2)
    quick_rig.run(Budget(trials=1))
    stopped, gone_on = quick_rig.trials()
    for rung, epoch in (("completed_rung_0", 1), ("completed_rung_1", 2)):
        assert stopped.system_attrs[rung] == stopped.intermediate_values[epoch]
        assert gone_on.system_attrs[rung] == stopped.intermediate_values[epoch]


def test_checkpoints_of_a_deleted_study_are_not_gone_on_with(quick_rig: SearchRig) -> None:
    foreign = Checkpoint(2, {}, {**facts_after(2), "history": [0.9, 0.9]})
    quick_rig.checkpoints.save(0, foreign)
    workers = quick_rig.workers()
    quick_rig.run(Budget(trials=1), workers)
    assert workers.trained == [(0, 1), (0, 2), (0, 3)]


# Failures


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


# What comes from outside


@pytest.mark.parametrize("state", [FAIL, PRUNED, COMPLETE], ids=lambda state: state.name)
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_trial_that_somebody_else_tells_ends_as_told_and_the_search_goes_on(
    rig: SearchRig, state: TrialState, epoch: int
) -> None:
    study, other = rig.study(), rig.study()
    workers = rig.workers()

    def tell_once() -> bool:
        if workers.trained[-1:] == [(0, epoch)] and other.trials[0].state is RUNNING:
            other.tell(0, 0.99 if state is COMPLETE else None, state=state)
        return False

    assert rig.run(Budget(trials=3), workers, tell_once, study).kind == "done"
    assert [trial.state for trial in other.trials] == [state, COMPLETE, COMPLETE]
    assert workers.trained[:epoch] == [(0, each) for each in range(1, epoch + 1)]
    assert len(workers.trained) == epoch + 6
    assert workers.held == {}
    assert sum(rig.standing.counts.values()) == 3
    assert rig.standing.best is not None
    assert rig.standing.best[0] != 0


def test_a_failure_of_a_trial_that_somebody_else_told_is_the_trials_end(
    quick_rig: SearchRig,
) -> None:
    other = quick_rig.study()
    workers = quick_rig.workers(1, {(0, 2): LOST})

    def tell_once() -> bool:
        if workers.trained[-1:] == [(0, 1)] and other.trials[0].state is RUNNING:
            other.tell(0, state=FAIL)
        return False

    assert quick_rig.run(Budget(trials=2), workers, tell_once).kind == "done"
    assert [trial.state for trial in other.trials] == [FAIL, COMPLETE]


def test_what_was_told_complete_from_outside_leads_no_later_run(quick_rig: SearchRig) -> None:
    study = quick_rig.study()
    study.tell(study.ask(), 0.99)
    quick_rig.keep = 1
    quick_rig.run(Budget(trials=2))
    quick_rig.run(Budget(trials=2))
    assert quick_rig.standing.best is not None
    assert quick_rig.standing.best[0] == 1
    assert quick_rig.checkpoints.trials() == [1]


@pytest.mark.parametrize("lost", [StudyLocked("run by another"), DatabaseError("it is gone")])
def test_a_lock_that_is_anothers_ends_the_search_and_loses_no_epoch(
    rig: SearchRig, lost: StorageError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordinator, "_EXCHANGE_SECONDS", 0.0)
    workers, calls = rig.workers(2), iter(range(100))

    def exchange() -> None:
        if next(calls) == 4:
            raise lost

    ending = rig.run(Budget(trials=3), workers, exchange=exchange)
    assert ending == Ending("failed", str(lost))
    assert rig.trials(RUNNING)
    after = rig.workers(2)
    assert rig.run(Budget(trials=3), after).kind == "done"
    assert len(rig.trials(COMPLETE)) == 3
    assert len(workers.trained) + len(after.trained) == 9


@pytest.mark.parametrize("call", ["delete", "inherit"])
def test_a_store_that_fails_ends_the_search_and_the_next_run_goes_on(
    quick_rig: SearchRig, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    stopped = quick_rig.workers()
    quick_rig.run(Budget(trials=2), stopped, lambda: len(stopped.trained) >= 2)

    def fail(*_: Any) -> None:
        raise CheckpointError(DISK_FULL)

    with monkeypatch.context() as patch:
        patch.setattr(quick_rig.checkpoints, call, fail)
        assert quick_rig.run(Budget(trials=2)) == Ending("failed", DISK_FULL)
    after = quick_rig.workers()
    assert quick_rig.run(Budget(trials=2), after).kind == "done"
    assert len(quick_rig.trials(COMPLETE)) == 2
    assert len(stopped.trained) + len(after.trained) == 6


def test_checkpoints_that_no_trial_needs_are_swept_at_the_start(quick_rig: SearchRig) -> None:
    workers = quick_rig.workers()
    quick_rig.run(Budget(trials=4), workers, lambda: len(workers.trained) >= 10)
    assert len(quick_rig.checkpoints.trials()) == 3
    kept = quick_rig.checkpoints.trials()
    for stale in {0, 1, 2, 77} - set(kept):
        quick_rig.checkpoints.save(stale, Checkpoint(1, {}))
    quick_rig.run(Budget(trials=4), stop_requested=lambda: True)
    assert quick_rig.checkpoints.trials() == kept


def verdicts(rig: SearchRig, stops: list[int]) -> list[Any]:
    """How each of a study's trials ended, where it was interrupted after so many epochs."""
    rig.epochs, rig.pruner = 9, build_pruner("hyperband", epochs=9)
    study, trained = rig.study(), 0
    # Given, since a sampler that goes on draws other values; worse and better in turn.
    for index in range(14):
        study.enqueue_trial({"learning_rate": 10 ** -(1 + index * 5 % 14 / 4), "loss": "bce"})
    for stop in [*stops, 1000]:
        workers = rig.workers()
        rig.run(Budget(trials=14), workers, lambda: trained + len(workers.trained) >= stop)  # noqa: B023
        trained += len(workers.trained)
    ended = [trial for trial in rig.trials() if GOES_ON not in trial.user_attrs]
    return [(trial.params, trial.state, trial.last_step) for trial in sorted(ended, key=origin)]


def test_an_interruption_does_not_change_what_the_pruner_says_later(tmp_path: Path) -> None:
    rigs = []
    for name in ("whole", "interrupted"):
        storage = optuna.storages.InMemoryStorage()
        rigs.append(SearchRig(lambda storage=storage: storage, tmp_path / name))
    whole, interrupted = rigs
    assert verdicts(whole, []) == verdicts(interrupted, list(range(2, 50, 3)))
    assert whole.trials(PRUNED)
    assert len(interrupted.trials(FAIL)) > 5


# Trials that a user enqueued


def test_what_a_user_enqueues_is_tried_next(rig: SearchRig) -> None:
    study = rig.study()
    workers = rig.workers()

    def enqueue_once() -> bool:
        if len(workers.trained) == 2 and len(study.get_trials()) == 1:
            study.enqueue_trial({"learning_rate": 0.02, "loss": "dice"})
        return False

    rig.run(Budget(trials=3), workers, enqueue_once, study)
    trials = rig.trials()
    assert trials[1].params == {"learning_rate": 0.02, "loss": "dice"}
    assert [trial.state for trial in trials] == [COMPLETE] * 3


@pytest.mark.parametrize(
    "values",
    [
        {"learning_rate": 5.0},
        {"learning_rate": "fast"},
        {"learning_rate": None},
        {"learning_rate": float("nan")},
        {"loss": "hinge"},
        {"rate": 0.1},
        {"depth": 3},
    ],
    ids=str,
)
def test_impossible_values_are_a_failed_trial_and_not_the_end(
    quick_rig: SearchRig, values: dict[str, Any]
) -> None:
    quick_rig.study().enqueue_trial(values)
    assert quick_rig.run(Budget(trials=2)).kind == "done"
    refused, other = quick_rig.trials()
    assert (refused.state, other.state) == (FAIL, COMPLETE)
    assert next(iter(values)) in refused.user_attrs["reason"]
    assert quick_rig.standing.spent.trials == 2


def test_many_impossible_values_in_a_row_are_not_the_end_either(quick_rig: SearchRig) -> None:
    study = quick_rig.study()
    for _ in range(5):
        study.enqueue_trial({"loss": "hinge"})
    quick_rig.run(Budget(trials=6))
    assert [trial.state for trial in quick_rig.trials()] == [FAIL] * 5 + [COMPLETE]


def test_an_enqueued_value_off_the_grid_is_refused(quick_rig: SearchRig) -> None:
    quick_rig.space = build_space({"filters": {"low": 8, "high": 32, "step": 8}})
    quick_rig.study().enqueue_trial({"filters": 12})
    quick_rig.run(Budget(trials=2))
    assert [trial.state for trial in quick_rig.trials()] == [FAIL, COMPLETE]


def test_values_that_only_some_dimensions_are_given_are_completed(quick_rig: SearchRig) -> None:
    quick_rig.study().enqueue_trial({"loss": "dice"})
    quick_rig.run(Budget(trials=1))
    (trial,) = quick_rig.trials()
    assert trial.params["loss"] == "dice"
    assert trial.params.keys() == {"loss", "learning_rate"}


def test_a_space_that_holds_the_impossible_is_a_defect_and_no_failed_trial(
    quick_rig: SearchRig,
) -> None:
    quick_rig.space = Space((Dimension("depth", choices=(3, 4)),), {"tile_size": 20})
    with pytest.raises(InputError, match="tile_size"):
        quick_rig.run(Budget(trials=2))


# Room for trials


def test_a_search_waits_for_room_that_is_gone_for_a_while(
    quick_rig: SearchRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordinator.time, "sleep", lambda seconds: None)
    workers = quick_rig.workers(slots=0)

    def node_joins() -> bool:
        workers.slots = 1 if len(quick_rig.shown) > 20 else 0
        return False

    ending = quick_rig.run(Budget(trials=1), workers, node_joins, clock=Clock(1.0))
    assert ending.kind == "done"
    assert [trial.state for trial in quick_rig.trials()] == [COMPLETE]


def test_a_search_that_never_gets_room_says_so(
    quick_rig: SearchRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordinator.time, "sleep", lambda seconds: None)
    ending = quick_rig.run(Budget(trials=1), quick_rig.workers(slots=0), clock=Clock(10.0))
    assert ending.kind == "failed"
    assert "[workers]" in ending.reason
    assert quick_rig.trials() == []
