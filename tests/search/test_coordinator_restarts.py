"""Searches that were stopped or killed, and gone on with."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from fake_workers import FakeWorkers, Killed, facts_after
from search_rig import COMPLETE, FAIL, RUNNING, WAITING, SearchRig

from search import coordinator
from search.budget import Budget
from search.lineage import GOES_ON
from search.terms import Ending
from storage.checkpoints import Checkpoint


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
