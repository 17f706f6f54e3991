from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from fake_workers import facts_after, learning_curve
from search_rig import COMPLETE, DIVERGED, FAIL, PRUNED, RUNNING, WAITING, Clock, SearchRig

from search import coordinator
from search.budget import Budget
from search.constraints import Constraints
from search.plan import CHANGE
from search.pruners import build_pruner, rungs
from search.standing import DEVICE_SECONDS_SPENT, SECONDS_SPENT
from search.terms import Ending

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


def test_a_trial_whose_worker_has_no_place_costs_nothing(rig: SearchRig) -> None:
    workers = rig.workers(2)
    workers.without_place = frozenset({0})
    rig.run(Budget(trials=2), workers, clock=Clock())
    spent = rig.standing.spent
    # Both ran side by side, and one of them holds a device.
    assert 0 < spent.device_seconds <= spent.seconds


def test_a_stop_is_heeded_while_no_trial_is_feasible(rig: SearchRig) -> None:
    asked = iter(range(1000))
    rig.constraints = Constraints(parameters=1)
    ending = rig.run(Budget(trials=1000), stop_requested=lambda: next(asked) > 10)
    assert ending.kind == "interrupted"
    assert 0 < len(rig.trials(PRUNED)) < 20


def test_what_somebody_asks_for_comes_before_ideas(rig: SearchRig) -> None:
    study = rig.study()
    rate = {"learning_rate": 1e-3}
    for number in range(3):
        study.enqueue_trial({}, user_attrs={CHANGE: f"idea {number}"})
    study.enqueue_trial(rate)
    workers = rig.workers()
    rig.run(Budget(trials=2), workers, study=study)
    assert [assignment.trial for assignment in workers.begun] == [3, 0]
    assert rig.trials()[3].params["learning_rate"] == 1e-3


def test_money_ends_a_search_at_its_price(rig: SearchRig) -> None:
    budget = Budget(money=6.0, price_per_device_hour=2.0)
    ending = rig.run(budget, rig.workers(), clock=Clock())
    assert ending == Ending("done", "the budget of 6 of money is spent")
    assert 3 * 3600 <= rig.standing.spent.device_seconds <= 4 * 3600


def test_a_running_trial_ends_with_its_epoch_when_the_budget_does(rig: SearchRig) -> None:
    workers = rig.workers(2)
    rig.run(Budget(epochs=3), workers)
    assert len(workers.trained) <= 4


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


def test_a_search_that_has_nothing_to_begin_needs_no_room(
    quick_rig: SearchRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_rig.run(Budget(trials=2))
    monkeypatch.setattr(coordinator.time, "sleep", lambda seconds: None)
    ending = quick_rig.run(Budget(trials=2), quick_rig.workers(slots=0), clock=Clock(10.0))
    assert ending.kind == "done"
    assert quick_rig.run(Budget(trials=3), quick_rig.workers(slots=0), clock=Clock(10.0)).kind == (
        "failed"
    )
