"""What others do to a study while it is searched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from search_rig import COMPLETE, DISK_FULL, FAIL, LOST, PRUNED, RUNNING, SearchRig

from search import coordinator
from search.budget import Budget
from search.lineage import GOES_ON, origin
from search.pruners import build_pruner
from search.space import Dimension, Space, build_space
from search.terms import Ending
from storage.checkpoints import Checkpoint
from storage.errors import CheckpointError, DatabaseError, StorageError, StudyLocked
from trainer.errors import InputError

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


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_trial_that_somebody_else_tells_while_the_search_stops_is_released_once(
    rig: SearchRig, epoch: int
) -> None:
    study, other = rig.study(), rig.study()
    workers = rig.workers()

    def tell_and_stop() -> bool:
        if (len(workers.trained), len(workers.begun)) != (epoch, 1):
            return False
        if other.trials[0].state is RUNNING:
            other.tell(0, state=FAIL)
        return True

    assert rig.run(Budget(trials=3), workers, tell_and_stop, study).kind == "interrupted"
    assert other.trials[0].state is FAIL
    assert workers.held == {}
    assert rig.checkpoints.trials() == []


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
