from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from search import lineage
from search.plan import CHANGE
from storage.checkpoints import Checkpoint, CheckpointStore
from storage.errors import CheckpointError


@pytest.fixture
def study(open_storage: Callable[[], BaseStorage]) -> optuna.Study:
    return optuna.create_study(storage=open_storage(), direction="maximize")


@pytest.fixture
def checkpoints(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "trials")


def begin(study: optuna.Study, reported: int = 0) -> optuna.Trial:
    trial = study.ask()
    trial.suggest_float("rate", 0, 1)
    for epoch in range(1, reported + 1):
        trial.report(0.5, epoch)
    return trial


def save(checkpoints: CheckpointStore, trial: int, epoch: int) -> None:
    checkpoints.save(trial, Checkpoint(epoch, {"weights": np.zeros(2)}))


def test_a_trial_that_is_ended_for_now_goes_on_as_another_one(study: optuna.Study) -> None:
    trial = begin(study, reported=2)
    lineage.end_for_now(study, trial, "interrupted")
    assert lineage.enqueue_continuations(study) == 1
    ended, successor = study.trials
    assert (ended.state, ended.user_attrs["reason"]) == (TrialState.FAIL, "interrupted")
    assert successor.state is TrialState.WAITING
    assert successor.user_attrs == {"retried_from": 0, "attempt": 0, "origin": 0}
    assert lineage.enqueued_values(successor) == trial.params
    assert [lineage.is_continuation(each) for each in study.trials] == [False, True]


def test_every_trial_is_continued_once(study: optuna.Study) -> None:
    for _ in range(2):
        lineage.end_for_now(study, begin(study), "interrupted")
    assert lineage.enqueue_continuations(study) == 2
    assert lineage.enqueue_continuations(study) == 0
    assert len(study.trials) == 4


def test_only_lost_workers_count_as_attempts(study: optuna.Study) -> None:
    lineage.end_for_now(study, begin(study), "interrupted")
    lineage.enqueue_continuations(study)
    for expected, lost in ((1, True), (1, False), (2, True)):
        trial = lineage.take_continuation(study)
        assert trial is not None
        lineage.end_for_now(study, trial, "again", lost=lost)
        lineage.enqueue_continuations(study)
        assert lineage.attempt(study.trials[-1]) == expected


def test_a_plan_stays_with_a_trial_that_goes_on_and_nothing_else_does(study: optuna.Study) -> None:
    plan = {lineage.PLAN: "repeat", lineage.FINALIST: 4, lineage.SEED: 8, lineage.FOLD: 1}
    study.enqueue_trial({"rate": 0.5}, user_attrs={**plan, "note": "mine"})
    lineage.end_for_now(study, begin(study), "interrupted")
    lineage.enqueue_continuations(study)
    attributes = study.trials[-1].user_attrs
    assert attributes == {"retried_from": 0, "attempt": 0, "origin": 0, **plan}


def test_a_running_trial_is_an_orphan_at_the_start(study: optuna.Study) -> None:
    done = begin(study)
    study.tell(done, 1.0)
    begin(study, reported=1)
    begin(study)
    assert lineage.recover(study) == 2
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.COMPLETE] + [TrialState.FAIL] * 2 + [TrialState.WAITING] * 2
    assert lineage.recover(study) == 0


def test_a_trial_that_was_killed_while_it_was_asked_for_keeps_what_it_was_given(
    study: optuna.Study,
) -> None:
    study.enqueue_trial({"rate": 0.25, "depth": 3})
    begin(study)
    lineage.recover(study)
    assert lineage.enqueued_values(study.trials[-1]) == {"rate": 0.25, "depth": 3}


def test_a_continuation_is_taken_before_what_waits_longer(study: optuna.Study) -> None:
    lineage.end_for_now(study, begin(study), "interrupted")
    study.enqueue_trial({"rate": 0.5})
    lineage.enqueue_continuations(study)
    taken = lineage.take_continuation(study)
    assert taken is not None
    assert taken.number == 2
    assert taken.suggest_float("rate", 0, 1) == study.trials[0].params["rate"]
    assert study.trials[2].state is TrialState.RUNNING
    assert lineage.take_continuation(study) is None
    assert study.trials[1].state is TrialState.WAITING


def continuation(study: optuna.Study, times: int = 1) -> optuna.Trial:
    trial = begin(study)
    for _ in range(times):
        lineage.end_for_now(study, trial, "interrupted")
        lineage.enqueue_continuations(study)
        taken = lineage.take_continuation(study)
        assert taken is not None
        trial = taken
    return trial


def test_a_line_knows_its_first_trial_and_its_forerunners_the_nearest_first(
    study: optuna.Study,
) -> None:
    study.tell(begin(study), 1.0)
    last = continuation(study, times=3)
    assert [lineage.origin(trial) for trial in study.trials] == [0, 1, 1, 1, 1]
    assert lineage.forerunners(study, last) == [3, 2, 1]
    assert lineage.forerunners(study, study.trials[0]) == []


def test_only_what_was_run_here_to_its_full_budget_is_a_candidate(study: optuna.Study) -> None:
    for epochs, threshold in ((2, True), (2, False), (1, True), (0, False)):
        trial = begin(study, reported=epochs)
        if threshold:
            trial.set_user_attr("threshold", 0.5)
        study.tell(trial, 0.5)
    begin(study, reported=2).set_user_attr("threshold", 0.5)
    assert [lineage.is_candidate(trial, 2) for trial in study.trials] == [True] + [False] * 4


def test_a_checkpoint_moves_on_to_the_successor(
    study: optuna.Study, checkpoints: CheckpointStore
) -> None:
    trial = continuation(study)
    save(checkpoints, 0, 4)
    save(checkpoints, 0, 5)
    lineage.inherit_checkpoint(trial, checkpoints)
    assert (checkpoints.epochs(0), checkpoints.epochs(1)) == ([], [5])
    assert checkpoints.trials() == [1]


def test_a_checkpoint_that_the_forerunner_never_took_is_still_found(
    study: optuna.Study, checkpoints: CheckpointStore
) -> None:
    trial = continuation(study, times=3)
    save(checkpoints, 0, 2)
    save(checkpoints, 1, 4)
    lineage.inherit_checkpoint(trial, checkpoints)
    assert checkpoints.trials() == [3]
    assert checkpoints.epochs(3) == [4]


def test_a_checkpoint_that_cannot_be_read_now_is_lost_to_nobody(
    study: optuna.Study, checkpoints: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = continuation(study)
    save(checkpoints, 0, 40)
    with monkeypatch.context() as patch:
        stale = OSError(errno.ESTALE, "Stale file handle")
        patch.setattr("numpy.load", lambda *given, **named: (_ for _ in ()).throw(stale))
        with pytest.raises(CheckpointError, match="cannot be read: Stale file handle"):
            lineage.inherit_checkpoint(trial, checkpoints)
    lineage.inherit_checkpoint(trial, checkpoints)
    assert checkpoints.epochs(1) == [40]


def test_a_forerunner_with_nothing_to_inherit_is_left_as_it_is(
    study: optuna.Study, checkpoints: CheckpointStore, tmp_path: Path
) -> None:
    trial = continuation(study)
    save(checkpoints, 0, 3)
    (damaged,) = tmp_path.rglob("epoch-3.npz")
    damaged.write_bytes(b"")
    lineage.inherit_checkpoint(trial, checkpoints)
    assert checkpoints.trials() == [0]


def test_without_a_checkpoint_a_trial_begins_anew(
    study: optuna.Study, checkpoints: CheckpointStore
) -> None:
    lineage.inherit_checkpoint(continuation(study), checkpoints)
    assert checkpoints.trials() == []


def test_what_lies_under_a_new_trials_number_is_of_a_deleted_study(
    study: optuna.Study, checkpoints: CheckpointStore
) -> None:
    save(checkpoints, 0, 2)
    lineage.inherit_checkpoint(begin(study), checkpoints)
    assert checkpoints.trials() == []


def test_inherited_epochs_are_not_the_trials_own(study: optuna.Study) -> None:
    trial = begin(study, reported=3)
    assert lineage.epochs_of_its_own(study.trials[0]) == 3
    trial.set_user_attr(lineage.INHERITED, 2)
    assert lineage.epochs_of_its_own(study.trials[0]) == 1
    trial.set_user_attr(lineage.INHERITED, 5)
    assert lineage.epochs_of_its_own(study.trials[0]) == 0


def test_what_counts_towards_the_budget_has_begun_and_begun_anew(study: optuna.Study) -> None:
    continuation(study)
    study.enqueue_trial({"rate": 0.5})
    counted = [lineage.counts_towards_budget(trial) for trial in study.trials]
    assert counted == [True, False, False]


def test_a_plan_stays_with_a_promotion_as_well(study: optuna.Study) -> None:
    plan = {CHANGE: "Batch size 20", lineage.PROMOTED_AFTER: 1}
    study.enqueue_trial({"rate": 0.5}, user_attrs={**plan, lineage.PAUSED: True})
    study.tell(begin(study, reported=3), state=TrialState.PRUNED)
    lineage.enqueue_promotion(study, 0)
    assert study.trials[1].user_attrs == {
        "promoted_from": 0,
        "promoted_after_epochs": 3,
        "attempt": 0,
        "origin": 0,
        CHANGE: "Batch size 20",
    }


def test_a_promotion_is_a_trial_that_goes_on_and_stays_one_when_it_is_interrupted(
    study: optuna.Study, checkpoints: CheckpointStore
) -> None:
    paused = begin(study, reported=3)
    study.tell(paused, state=TrialState.PRUNED)
    save(checkpoints, 0, 3)
    lineage.enqueue_promotion(study, 0)
    promoted = lineage.take_continuation(study)
    assert promoted is not None
    assert lineage.promoted(study.trials) == {0}
    assert (lineage.origin(study.trials[1]), lineage.promoted_after(study.trials[1])) == (0, 3)
    lineage.inherit_checkpoint(promoted, checkpoints)
    assert checkpoints.trials() == [1]
    lineage.end_for_now(study, promoted, "interrupted", lost=True)
    lineage.enqueue_continuation(study, promoted)
    again = study.trials[2]
    assert again.user_attrs == {
        "retried_from": 1,
        "promoted_after_epochs": 3,
        "attempt": 1,
        "origin": 0,
    }
    assert lineage.forerunners(study, again) == [1, 0]
    assert [lineage.counts_towards_budget(trial) for trial in study.trials] == [True, False, False]
    assert [trial.params or lineage.enqueued_values(trial) for trial in study.trials] == [
        paused.params
    ] * 3
