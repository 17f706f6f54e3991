"""Searches whose stopped trials are promoted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import optuna
import pytest
from fake_workers import FakeWorkers, Killed
from optuna.trial import FrozenTrial
from search_rig import COMPLETE, DIVERGED, FAIL, LOST, PRUNED, RUNNING, WAITING, SearchRig

from search import coordinator, lineage
from search.budget import Budget
from search.promotion import PromotingPruner
from search.pruners import build_pruner
from search.results import status_row
from search.rung_pruner import Bracket

EPOCHS, TRIALS = 9, 12
# Of the first twelve trials, at every epoch: the second one is stopped, and turns out to be good.
QUALITIES = (0.9, 0.8, 0.1, 0.2, 0.3, 0.05, 0.04, 0.06, 0.01, 0.02, 0.03, 0.07)
RATES = tuple(1e-5 * 10 ** (4 * quality) for quality in QUALITIES)


def curve(hyperparameters: Any, epoch: int) -> float:
    """Higher learning rates are better, and every trial keeps its place."""
    return min(RATES, key=lambda rate: abs(rate - hyperparameters.learning_rate)) * epoch / EPOCHS


def prepare(rig: SearchRig, *, keep: int = 10, rates: Sequence[float] = RATES) -> None:
    rig.epochs = EPOCHS
    rig.pruner = PromotingPruner([Bracket((1, 3))], reduction=3, keep=keep)
    study = rig.study()
    for rate in rates:
        study.enqueue_trial({"learning_rate": rate, "loss": "bce"})


def workers(rig: SearchRig, slots: int = 1, script: Any = None) -> FakeWorkers:
    return rig.workers(slots, script, curve)


def promotions(rig: SearchRig) -> dict[int, FrozenTrial]:
    """By the number of the trial that was promoted; none is twice."""
    links = [(t.user_attrs["promoted_from"], t) for t in rig.trials() if is_promotion(t)]
    assert len(dict(links)) == len(links)
    return dict(links)


def is_promotion(trial: FrozenTrial) -> bool:
    return "promoted_from" in trial.user_attrs


def check_whole(rig: SearchRig) -> None:
    """What must hold in the end, however often the search was killed."""
    trials, followed = rig.trials(), set()
    for trial in trials:
        before = lineage.forerunner(trial)
        if before is not None:
            assert before not in followed
            followed.add(before)
            assert trial.params == trials[before].params
            assert lineage.origin(trial) == lineage.origin(trials[before])
            assert trial.state is not COMPLETE or set(trial.intermediate_values) == set(
                range(1, EPOCHS + 1)
            )
    assert rig.standing.spent.trials == TRIALS
    # At the first rung every line of the best third has gone on, and so at the second.
    for epoch in (1, 3):
        reached = {
            lineage.origin(t): t.intermediate_values[epoch]
            for t in trials
            if epoch in t.intermediate_values
        }
        best = sorted(reached, key=lambda line: -reached[line])[: max(len(reached) // 3, 1)]
        further = {lineage.origin(t) for t in trials if (t.last_step or 0) > epoch}
        assert further.issuperset(best)
    assert not rig.trials(WAITING, RUNNING)


def test_a_stopped_trial_goes_on_from_its_checkpoint_when_it_is_among_the_best(
    rig: SearchRig,
) -> None:
    prepare(rig)
    used = workers(rig)
    assert rig.run(Budget(trials=TRIALS), used).kind == "done"
    check_whole(rig)
    paused, promoted = rig.trials()[1], promotions(rig)[1]
    assert (paused.state, paused.user_attrs["reason"]) == (PRUNED, "paused after 1 of 9 epochs")
    # As soon as a sixth trial had come, and before a seventh was begun.
    assert promoted.number == 12
    assert used.begun[6].trial == 12
    assert promoted.user_attrs["inherited_epochs"] == 1
    own = [epoch for number, epoch in used.trained if number == promoted.number]
    assert own == list(range(2, (promoted.last_step or 0) + 1))
    assert promoted.intermediate_values[1] == paused.intermediate_values[1]
    assert rig.checkpoints.epochs(1) == []
    assert rig.checkpoints.epochs(promoted.number)


def test_promotions_do_not_count_and_go_on_after_the_last_trial(quick_rig: SearchRig) -> None:
    # The good one comes second, and the sixth that makes it one of the best third is the last.
    prepare(quick_rig, rates=RATES[:6])
    used = workers(quick_rig)
    quick_rig.run(Budget(trials=6), used)
    assert list(promotions(quick_rig)) == [1]
    assert quick_rig.standing.spent.trials == 6
    assert quick_rig.standing.spent.epochs == len(used.trained)
    ended = quick_rig.standing.counts
    assert sum(ended.values()) + quick_rig.standing.paused == 6
    assert quick_rig.standing.paused == 5
    restarted = workers(quick_rig)
    quick_rig.run(Budget(trials=6), restarted)
    assert restarted.begun == []
    assert (quick_rig.standing.counts, quick_rig.standing.paused) == (ended, 5)


def test_no_more_epochs_than_the_budget_are_trained(quick_rig: SearchRig) -> None:
    prepare(quick_rig)
    used = workers(quick_rig)
    ending = quick_rig.run(Budget(epochs=16), used)
    assert ending.reason == "the budget of 16 epochs is spent"
    assert len(used.trained) == 16
    assert promotions(quick_rig)


def test_checkpoints_of_paused_trials_are_kept_and_of_no_others(quick_rig: SearchRig) -> None:
    prepare(quick_rig, keep=3)
    quick_rig.run(Budget(trials=TRIALS), workers(quick_rig))
    kept = quick_rig.checkpoints.trials()
    trials = quick_rig.trials()
    stopped = [
        t
        for t in trials
        if t.state is PRUNED and t.number in kept and t.number not in lineage.promoted(trials)
    ]
    by_rung = {epoch: [t for t in stopped if t.last_step == epoch] for epoch in (1, 3)}
    assert 0 < len(by_rung[1]) <= 3
    assert len(stopped) == sum(map(len, by_rung.values())) == quick_rig.standing.paused
    assert set(kept) - {t.number for t in stopped} == {
        t.number for t in sorted(quick_rig.trials(COMPLETE), key=lambda t: -(t.value or 0.0))[:2]
    }
    dropped = [t for t in trials if t.user_attrs.get("paused") and t.number not in kept]
    assert quick_rig.standing.counts["PRUNED"] == len(
        [t for t in dropped if t.number not in lineage.promoted(trials)]
    )
    # A restart finds the same.
    quick_rig.run(Budget(trials=TRIALS), workers(quick_rig))
    assert quick_rig.checkpoints.trials() == kept


def test_status_tells_what_may_be_promoted_and_what_was(quick_rig: SearchRig) -> None:
    prepare(quick_rig, keep=2)
    quick_rig.run(Budget(trials=6), workers(quick_rig))
    folder = quick_rig.checkpoints._folder
    rows = status_row(quick_rig.study(), Budget(trials=6), folder, folder)["trials"]
    reasons = [row["reason"] for row in rows]
    assert reasons[1] == "paused after 1 of 9 epochs; promoted as trial 12"
    assert reasons[4] == "paused after 1 of 9 epochs; may be promoted"
    assert reasons[5] == "paused after 1 of 9 epochs"


@pytest.mark.parametrize(
    ("outcome", "states"), [(LOST, [FAIL, COMPLETE]), (DIVERGED, [FAIL])], ids=["lost", "diverged"]
)
def test_a_promoted_trial_fails_as_any_other(
    quick_rig: SearchRig, outcome: Any, states: list[Any]
) -> None:
    prepare(quick_rig)
    used = workers(quick_rig, script={(12, 2): outcome})
    quick_rig.run(Budget(trials=TRIALS), used)
    line = [t for t in quick_rig.trials() if lineage.origin(t) == 1][1:]
    assert [t.state for t in line if t.state is not PRUNED] == states or (
        # Stopped once more at the second rung.
        [t.state for t in line][: len(states)] == [FAIL, PRUNED]
    )
    assert next(t.user_attrs.get("promoted_from") for t in line) == 1
    assert 1 not in [t.user_attrs.get("promoted_from") for t in line][1:]
    if outcome is LOST:
        assert line[1].user_attrs["retried_from"] == line[0].number
        assert line[1].user_attrs["inherited_epochs"] == 1


def test_a_promoted_trial_that_somebody_else_tells_ends_as_told(quick_rig: SearchRig) -> None:
    prepare(quick_rig)
    other, used = quick_rig.study(), workers(quick_rig)

    def tell_once() -> bool:
        if used.trained[-1:] == [(12, 2)] and other.trials[12].state is RUNNING:
            other.tell(12, state=FAIL)
        return False

    quick_rig.run(Budget(trials=TRIALS), used, tell_once)
    assert other.trials[12].state is FAIL
    # Neither it nor the one that it goes on from is promoted again.
    assert [t.number for t in other.trials if lineage.origin(t) == 1] == [1, 12]
    assert used.held == {}


# Killed at any step


def dying(times: int, call: Callable[..., Any]) -> Callable[..., Any]:
    left = iter(range(times))

    def die_in_the_end(*given: Any, **named: Any) -> Any:
        if next(left, None) is None:
            raise Killed
        return call(*given, **named)

    return die_in_the_end


STEPS = [
    (lineage, "enqueue_promotion"),
    (lineage, "take_continuation"),
    (lineage, "inherit_checkpoint"),
    (optuna.Study, "tell"),
    (optuna.Study, "enqueue_trial"),
    (coordinator.Retention, "tidy"),
]


@pytest.mark.parametrize(("owner", "step"), STEPS, ids=lambda each: getattr(each, "__name__", each))
def test_a_search_that_is_killed_at_any_step_promotes_the_same(
    quick_rig: SearchRig, owner: Any, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(quick_rig)
    trained: list[tuple[int, int]] = []
    for times in range(1, 60):
        used = workers(quick_rig, slots=1 + times % 2)
        with monkeypatch.context() as patch:
            patch.setattr(owner, step, dying(1 + times % 3, getattr(owner, step)))
            try:
                quick_rig.run(Budget(trials=TRIALS), used)
                break
            except Killed:
                trained += used.trained
    else:
        # It dies at every start before anything can come of it, so it is left alone.
        used = workers(quick_rig)
        quick_rig.run(Budget(trials=TRIALS), used)
    trained += used.trained
    check_whole(quick_rig)
    assert promotions(quick_rig)
    # No epoch of a line is trained twice: whatever was done is gone on from.
    origins = {t.number: lineage.origin(t) for t in quick_rig.trials()}
    done = [(origins[number], epoch) for number, epoch in trained]
    assert len(set(done)) == len(done)


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("pruner", ["asha", "async_hyperband"])
def test_a_search_that_is_killed_again_and_again_ends_whole(
    quick_rig: SearchRig, pruner: str, slots: int
) -> None:
    rig = quick_rig
    rig.epochs, rig.pruner = EPOCHS, build_pruner(pruner, epochs=EPOCHS)
    for _ in range(60):
        known = len(rig.study().trials)
        deaths = {(known + ahead, 2): Killed for ahead in range(3, 6)}
        try:
            rig.run(Budget(trials=TRIALS), rig.workers(slots, deaths))
            break
        except Killed:
            pass
    else:
        pytest.fail("the search comes to no end")
    assert rig.standing.spent.trials == TRIALS
    assert not rig.trials(WAITING, RUNNING)
    assert len(promotions(rig)) == len(lineage.promoted(rig.trials()))


def test_a_larger_budget_promotes_what_the_smaller_one_has_paused(quick_rig: SearchRig) -> None:
    prepare(quick_rig)
    quick_rig.run(Budget(trials=5), workers(quick_rig))
    assert not promotions(quick_rig)
    after = workers(quick_rig)
    quick_rig.run(Budget(trials=6), after)
    assert list(promotions(quick_rig)) == [1]
    number = promotions(quick_rig)[1].number
    assert next(epoch for trial, epoch in after.trained if trial == number) == 2


def test_without_its_checkpoint_a_trial_stays_stopped(quick_rig: SearchRig) -> None:
    prepare(quick_rig)
    quick_rig.run(Budget(trials=5), workers(quick_rig))
    quick_rig.checkpoints.delete(1)
    quick_rig.run(Budget(trials=6), workers(quick_rig))
    assert 1 not in promotions(quick_rig)
