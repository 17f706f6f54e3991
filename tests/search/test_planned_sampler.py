from __future__ import annotations

from typing import Any

import optuna
import pytest
from fake_workers import Killed
from search_rig import BROKEN, COMPLETE, FAIL, LOST, WAITING, SearchRig

from search.budget import Budget
from search.grid import Grid
from search.one_at_a_time import plan_one_at_a_time
from search.plan import CHANGE
from search.samplers import build_sampler
from search.space import build_space

TABLE: dict[str, Any] = {
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "optimizer": ["adam", "sgd"],
    "momentum": {"low": 0.5, "high": 0.9, "points": 2},
    "depth": 2,
}
SIZE = 3 * (1 + 2)


@pytest.fixture
def grid_rig(rig: SearchRig) -> SearchRig:
    rig.space = build_space(TABLE)
    rig.sampler, rig.plan = "grid", Grid(rig.space, seed=4)
    return rig


@pytest.fixture
def changes_rig(quick_rig: SearchRig) -> SearchRig:
    plan = plan_one_at_a_time(
        {"preset": "report_2019", "depth": 2},
        None,
        [{"name": "faster", "learning_rate": 0.1}, {"name": "Dice", "loss": "dice"}],
    )
    quick_rig.space, quick_rig.plan, quick_rig.sampler = plan.space, plan, "one_at_a_time"
    return quick_rig


def complete_params(rig: SearchRig) -> list[str]:
    return sorted(str(sorted(trial.params.items())) for trial in rig.trials(COMPLETE))


def whole_grid(rig: SearchRig) -> list[str]:
    assert rig.plan is not None
    runs = (rig.plan.entry(index).params for index in range(rig.plan.size))
    return sorted(str(sorted(params.items())) for params in runs)


@pytest.mark.parametrize("slots", [1, 3])
def test_a_grid_ends_when_each_of_its_combinations_has_been_run(
    grid_rig: SearchRig, slots: int
) -> None:
    ending = grid_rig.run(Budget(), grid_rig.workers(slots))
    assert (ending.kind, ending.reason) == ("done", "every trial of the plan has ended")
    assert complete_params(grid_rig) == whole_grid(grid_rig)
    assert len(grid_rig.trials()) == SIZE
    grid_rig.run(Budget())
    assert len(grid_rig.trials()) == SIZE


def test_a_grid_that_was_stopped_or_killed_runs_nothing_twice(grid_rig: SearchRig) -> None:
    grid_rig.run(Budget(trials=2))
    with pytest.raises(Killed):
        grid_rig.run(Budget(), grid_rig.workers(script={(4, 2): Killed}))
    grid_rig.run(Budget(), grid_rig.workers(2, script={(6, 1): LOST}))
    assert complete_params(grid_rig) == whole_grid(grid_rig)


def test_a_trial_that_failed_is_not_tried_again(grid_rig: SearchRig) -> None:
    grid_rig.run(Budget(), grid_rig.workers(script={(3, 1): BROKEN}))
    grid_rig.run(Budget())
    assert len(grid_rig.trials(FAIL)) == 1
    assert len(grid_rig.trials(COMPLETE)) == SIZE - 1


def test_what_was_enqueued_counts_and_what_it_leaves_open_is_filled_in(
    grid_rig: SearchRig,
) -> None:
    study = grid_rig.study()
    assert grid_rig.plan is not None
    study.enqueue_trial(dict(grid_rig.plan.entry(0).params))
    study.enqueue_trial({"learning_rate": 3e-3})
    grid_rig.run(Budget(), grid_rig.workers(2))
    # One of the grid's own, and one beside it.
    assert len(grid_rig.trials(COMPLETE)) == SIZE + 1
    assert grid_rig.trials(WAITING) == []
    study = grid_rig.study()
    study.enqueue_trial({"learning_rate": 5e-3})
    grid_rig.run(Budget())
    assert grid_rig.trials()[-1].params["learning_rate"] == 5e-3


def test_changes_carry_their_names_also_where_they_go_on(changes_rig: SearchRig) -> None:
    with pytest.raises(Killed):
        changes_rig.run(Budget(), changes_rig.workers(script={(1, 2): Killed}))
    ending = changes_rig.run(Budget())
    assert ending.kind == "done"
    done = changes_rig.trials(COMPLETE)
    assert {trial.user_attrs[CHANGE]: trial.params["learning_rate"] for trial in done} == {
        "baseline": 1e-3,
        "faster": 0.1,
        "Dice": 1e-3,
    }
    assert len(done) == 3


def test_trials_of_another_making_have_no_change(changes_rig: SearchRig) -> None:
    changes_rig.study().enqueue_trial({"learning_rate": 0.1, "loss": "dice"})
    changes_rig.study().enqueue_trial({"loss": "dice"})
    changes_rig.run(Budget())
    named = [trial.user_attrs.get(CHANGE) for trial in changes_rig.trials(COMPLETE)]
    # The second was filled in from the baseline, and so is the change of the loss alone.
    assert sorted(map(str, named)) == ["None", "None", "baseline", "faster"]


def test_a_sampler_with_a_plan_has_to_be_given_one() -> None:
    with pytest.raises(ValueError, match="follows a plan"):
        build_sampler("grid", seed=1)
    space = build_space({"loss": ["bce", "dice"]})
    study = optuna.create_study(
        sampler=build_sampler("grid", seed=1, space=space, plan=Grid(space))
    )
    assert {space.suggest(study.ask()).loss for _ in range(2)} == {"bce", "dice"}
    with pytest.raises(RuntimeError, match="held no more"):
        space.suggest(study.ask())
