from __future__ import annotations

from collections.abc import Callable

import pytest
from fake_workers import facts_after
from search_rig import COMPLETE, FAIL, PRUNED, SearchRig

from search.budget import Budget
from search.constraints import Constraints, ConstraintWatch
from search.pruners import build_pruner
from search.space import build_space
from trainer.footprint import count_weights
from trainer.hyperparameters import Hyperparameters

SPACE = {
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "filters": [4, 8],
    "depth": 2,
    "tile_size": 64,
}


def weights(filters: int) -> int:
    return count_weights(Hyperparameters(filters=filters, depth=2, tile_size=64))


def seconds(run: Hyperparameters, epoch: int) -> dict[str, float]:
    """An epoch of the larger network takes longer, and the first one of both a minute."""
    return {
        "epoch_seconds": 60.0 if epoch == 1 else float(run.filters),
        "prediction_seconds_per_megavoxel": run.filters / 10,
        "parameters": weights(run.filters),
    }


def test_nothing_is_broken_where_nothing_is_limited() -> None:
    assert Constraints().before(Hyperparameters()) == {}
    assert Constraints().excesses({"parameters": 10**9}) == {}
    assert Constraints().describe_broken({}) is None


def test_an_excess_is_a_share_of_the_limit() -> None:
    limits = Constraints(parameters=1000, epoch_seconds=2.0)
    excesses = limits.excesses({"parameters": 1500, "epoch_seconds": 1.0, "recall": 0.3})
    assert excesses == {"parameters": 0.5, "epoch_seconds": -0.5}
    assert (
        limits.describe_broken(excesses) == "beyond [constraints]: parameters = 1500, at most 1000"
    )


def test_the_first_epoch_on_a_worker_says_nothing_of_time() -> None:
    watch = ConstraintWatch(Constraints(epoch_seconds=10.0))
    assert watch.take(3, 1, {"epoch_seconds": 60.0}, last=False) == {}
    assert watch.take(3, 2, {"epoch_seconds": 5.0}, last=False) == {"epoch_seconds": -0.5}
    # One slow epoch, on a machine that was busy, is none of the network's.
    assert watch.take(3, 3, {"epoch_seconds": 90.0}, last=False) == {"epoch_seconds": -0.5}
    watch.forget(3)
    assert watch.take(3, 1, {"epoch_seconds": 60.0}, last=True) == {"epoch_seconds": 5.0}


def test_inherited_epochs_are_none_of_this_worker() -> None:
    watch = ConstraintWatch(Constraints(epoch_seconds=10.0))
    watch.inherit(3, 4)
    # What it was inherited with may have been the first epoch of its worker as well.
    assert watch.take(3, 4, {"epoch_seconds": 70.0}, last=False) == {}
    assert watch.take(3, 5, {"epoch_seconds": 60.0}, last=False) == {}
    assert watch.take(3, 6, {"epoch_seconds": 5.0}, last=False) == {"epoch_seconds": -0.5}
    watch.forget(3)
    assert watch.take(3, 2, {"epoch_seconds": 5.0}, last=False) == {"epoch_seconds": -0.5}


def test_too_many_weights_end_a_trial_before_anything_is_built(rig: SearchRig) -> None:
    rig.space, rig.constraints = build_space(SPACE), Constraints(parameters=weights(4))
    workers = rig.workers(2)
    assert rig.run(Budget(trials=10), workers).kind == "done"
    broken, kept = rig.trials(PRUNED), rig.trials(COMPLETE)
    assert broken
    assert kept
    assert {trial.params["filters"] for trial in broken} == {8}
    assert {assignment.hyperparameters.filters for assignment in workers.begun} == {4}
    for trial in broken:
        assert trial.constraints == {"parameters": weights(8) / weights(4) - 1}
        assert trial.user_attrs["reason"].startswith("beyond [constraints]: parameters = ")
    assert rig.standing.counts == {"PRUNED": len(broken), "COMPLETE": len(kept)}
    assert rig.standing.best is not None
    assert rig.standing.best[0] in {trial.number for trial in kept}


def test_a_slow_trial_ends_after_its_second_epoch(rig: SearchRig) -> None:
    rig.space, rig.constraints = build_space(SPACE), Constraints(epoch_seconds=5.0)
    workers = rig.workers(2)
    workers.facts = seconds
    rig.run(Budget(trials=8), workers)
    broken, kept = rig.trials(PRUNED), rig.trials(COMPLETE)
    assert [trial.last_step for trial in broken] == [2] * len(broken)
    assert broken
    assert kept
    for trial in broken:
        assert trial.constraints == {"epoch_seconds": pytest.approx(0.6)}
        assert rig.checkpoints.epochs(trial.number) == []
        assert trial.user_attrs["precision"] == facts_after(2)["precision"]
    assert all(trial.constraints == {"epoch_seconds": pytest.approx(-0.2)} for trial in kept)
    assert workers.held == {}


def compiling() -> Callable[[Hyperparameters, int], dict[str, float]]:
    """Seconds of each epoch on one worker: a minute for the first one, whichever it is."""
    warm: set[Hyperparameters] = set()

    def seconds(run: Hyperparameters, epoch: int) -> dict[str, float]:
        first = run not in warm
        warm.add(run)
        return {"epoch_seconds": 60.0 if first else 4.0}

    return seconds


@pytest.mark.parametrize("stopped_after", [1, 2, 3])
def test_a_trial_that_goes_on_elsewhere_is_not_judged_by_the_epoch_that_compiles(
    rig: SearchRig, stopped_after: int
) -> None:
    rig.space, rig.constraints, rig.epochs = build_space(SPACE), Constraints(epoch_seconds=5.0), 4
    before, after = rig.workers(), rig.workers()
    before.facts, after.facts = compiling(), compiling()
    rig.run(Budget(trials=1), before, lambda: len(before.trained) >= stopped_after)
    rig.run(Budget(trials=1), after)
    assert [trial.state for trial in rig.trials()] == [FAIL, COMPLETE]
    assert len(before.trained) + len(after.trained) == 4
    assert rig.trials(COMPLETE)[0].constraints == {"epoch_seconds": pytest.approx(-0.2)}


def test_a_trial_of_one_epoch_is_judged_by_it(quick_rig: SearchRig) -> None:
    quick_rig.epochs, quick_rig.constraints = 1, Constraints(epoch_seconds=59.0)
    workers = quick_rig.workers()
    workers.facts = seconds
    quick_rig.run(Budget(trials=2), workers)
    assert [trial.state for trial in quick_rig.trials()] == [PRUNED] * 2


def test_tpe_keeps_away_from_what_is_too_slow_and_pruning_goes_on(quick_rig: SearchRig) -> None:
    quick_rig.space = build_space({**SPACE, "filters": {"low": 4, "high": 32}})
    quick_rig.constraints = Constraints(prediction_seconds_per_megavoxel=1.2)
    quick_rig.sampler, quick_rig.epochs = "tpe", 9
    quick_rig.pruner = build_pruner("successive_halving", epochs=9)
    workers = quick_rig.workers()
    workers.facts = seconds
    # Wider is better, up to where it is too slow.
    workers.curve = lambda run, epoch: run.filters / 40 * epoch / 9
    quick_rig.run(Budget(trials=60), workers)
    late = quick_rig.trials()[-20:]
    beyond = [trial for trial in late if trial.params["filters"] > 12]
    assert len(beyond) < 10
    assert all((trial.last_step or 0) >= 2 for trial in late)
    reasons = {str(trial.user_attrs.get("reason"))[:10] for trial in quick_rig.trials(PRUNED)}
    assert reasons == {"beyond [co", "stopped by"}
