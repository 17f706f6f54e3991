from __future__ import annotations

import math
import random

import optuna
import pytest
from optuna.trial import TrialState

from search import lineage
from search.promotion import PromotingPruner, Promotions
from search.pruners import build_pruner
from search.rung_pruner import Bracket, RungPruner


def build(keep: int = 10, brackets: tuple[Bracket, ...] = (Bracket((1, 3, 9)),)) -> PromotingPruner:
    return PromotingPruner(brackets, reduction=3, keep=keep)


class Study:
    """A study whose trials are paused and promoted as the coordinator does it."""

    def __init__(self, pruner: optuna.pruners.BasePruner) -> None:
        self.study = optuna.create_study(direction="maximize", study_name="mito", pruner=pruner)
        self.promotions = Promotions(self.study)
        self.forgotten: list[int] = []

    def reach(self, trial: optuna.Trial, *values: float, first: int = 1) -> bool:
        """Reports values from an epoch on, and pauses the trial where it is stopped."""
        for epoch, value in enumerate(values, first):
            trial.report(value, epoch)
            stopped = trial.should_prune()
        if stopped and self.promotions.can_pause(values[-1]):
            trial.set_user_attr(lineage.PAUSED, True)
            self.study.tell(trial, state=TrialState.PRUNED)
            forgotten = self.promotions.pause(self.study.trials[trial.number])
            self.forgotten += [] if forgotten is None else [forgotten]
        return stopped

    def begin(self, *values: float) -> bool:
        """A new trial, and whether it is stopped."""
        return self.reach(self.study.ask(), *values)

    def promote(self) -> optuna.Trial | None:
        return lineage.take_continuation(self.study) if self.promotions.enqueue_next() else None


@pytest.fixture
def study() -> Study:
    return Study(build())


def fill(study: Study, *values: float) -> None:
    for value in values:
        study.begin(value)


def test_a_stopped_trial_is_promoted_when_it_has_come_to_be_among_the_best(study: Study) -> None:
    # The first leads; the second is second of six only once four worse ones have come.
    fill(study, 0.9, 0.8, 0.1, 0.2, 0.3)
    assert study.promote() is None
    fill(study, 0.05)
    trial = study.promote()
    assert trial is not None
    assert trial.user_attrs == {
        "promoted_from": 1,
        "promoted_after_epochs": 1,
        "attempt": 0,
        "origin": 1,
    }
    assert study.promote() is None
    assert study.promotions.paused() == [4, 3, 2, 5]


def test_an_arriving_trial_keeps_up_with_the_median_and_is_not_only_counted() -> None:
    stopped = {}
    for name in ("asha", "successive_halving"):
        study = Study(build_pruner(name, epochs=9))
        stopped[name] = [study.begin(value) for value in (1.0, 0.0, 0.6)]
    assert stopped == {"asha": [False, True, False], "successive_halving": [False, True, True]}


def test_a_promoted_trial_is_not_stopped_again_where_it_was_promoted_from(study: Study) -> None:
    fill(study, 0.9, 0.8, 0.1, 0.2, 0.3, 0.05)
    trial = study.promote()
    assert trial is not None
    # Meanwhile better ones have come, beside which it would not pass any more.
    fill(study, 0.95, 0.96, 0.97)
    assert not study.reach(trial, 0.8)
    assert not study.reach(trial, 0.81, first=2)
    lineage.end_for_now(study.study, trial, "interrupted")
    lineage.enqueue_continuations(study.study)
    again = lineage.take_continuation(study.study)
    assert again is not None
    assert (again.user_attrs["retried_from"], again.user_attrs["origin"]) == (6, 1)
    assert not study.reach(again, 0.8, 0.81)
    assert study.study.trials[again.number].system_attrs["completed_rung_0"] == 0.8


def test_a_promoted_trial_is_judged_and_promoted_at_the_next_rung(study: Study) -> None:
    for value in (0.9, 0.91, 0.92):
        assert not study.begin(value, value, value)
    fill(study, 0.8, 0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17)
    trial = study.promote()
    assert trial is not None
    assert study.reach(trial, 0.8, 0.8, 0.8)
    assert trial.number in study.promotions.paused()
    for _ in range(9):
        # More of the same at the first rung, and worse ones at the second.
        study.begin(0.93, 0.5, 0.5)
    following = [each.user_attrs["promoted_from"] for each in iter(study.promote, None)]
    assert trial.number in following
    promoted = next(t for t in study.study.trials if t.user_attrs.get("promoted_from") == 12)
    assert promoted.user_attrs["promoted_after_epochs"] == 3
    assert lineage.forerunners(study.study, promoted) == [12, 3]
    assert lineage.origin(promoted) == 3


def test_the_highest_rung_comes_first_and_there_the_best(study: Study) -> None:
    # At epoch 3: three leaders, of which the last ones stop, and then worse ones.
    for third in (0.9, 0.7, 0.6):
        study.begin(0.99, 0.99, third)
    fill(study, 0.5, 0.4, 0.3)
    for third in (0.1, 0.2, 0.3, 0.25):
        study.begin(0.99, 0.99, third)
    for number in range(30):
        study.begin(-0.01 * number)
    order = [each.user_attrs["promoted_from"] for each in iter(study.promote, None)]
    assert order[0] == 1
    assert study.study.trials[1].last_step == 3
    lower = [number for number in order if study.study.trials[number].last_step == 1]
    assert lower[:3] == [3, 4, 5]
    assert order == [*[n for n in order if n not in lower], *lower]


def test_a_trial_is_promoted_once_whatever_becomes_of_it(study: Study) -> None:
    fill(study, 0.9, 0.8, 0.1, 0.2, 0.3, 0.05)
    trial = study.promote()
    assert trial is not None
    study.study.tell(trial, state=TrialState.FAIL)
    assert study.promote() is None
    for promotions in (study.promotions, Promotions(study.study)):
        promotions.load(range(100))
        assert not promotions.enqueue_next()
        assert promotions.paused() == [4, 3, 2, 5]


def test_only_the_best_of_a_rung_are_remembered() -> None:
    study = Study(build(keep=2))
    fill(study, 0.9, 0.8, 0.1, 0.2, 0.3)
    assert (study.promotions.paused(), study.forgotten) == ([1, 4], [2, 3])


def test_what_was_paused_is_known_after_a_restart() -> None:
    study = Study(build(keep=3))
    fill(study, 0.9, 0.8, 0.1, 0.2, 0.3)
    told_by_others = study.study.ask()
    told_by_others.report(0.05, 1)
    told_by_others.should_prune()
    study.study.tell(told_by_others, state=TrialState.PRUNED)
    study.study.pruner = build(keep=3)
    restarted = Promotions(study.study)
    restarted.load([0, 1, 3, 5])
    # 4 has lost its checkpoint, and 5 was stopped by somebody else.
    assert restarted.paused() == [1, 3]
    assert restarted.enqueue_next()
    assert study.study.trials[-1].user_attrs["promoted_from"] == 1


def test_no_numbers_are_no_value_to_be_promoted_with(study: Study) -> None:
    fill(study, 0.9)
    assert not study.promotions.can_pause(math.nan)
    assert study.begin(0.95, 0.95, math.nan)
    assert study.promotions.paused() == []


def test_without_promotion_nothing_is_paused() -> None:
    for pruner in (
        RungPruner([Bracket((1, 3, 9))], reduction=3),
        build_pruner("hyperband", epochs=9),
    ):
        study = Study(pruner)
        study.promotions.load([])
        assert not study.promotions.can_pause(0.5)
        assert not study.promotions.enqueue_next()
        assert study.promotions.paused() == []


@pytest.mark.parametrize(("name", "brackets"), [("asha", 1), ("async_hyperband", 3)])
def test_every_bracket_promotes_among_its_own(name: str, brackets: int) -> None:
    pruner = build_pruner(name, epochs=9)
    assert isinstance(pruner, PromotingPruner)
    study = Study(pruner)
    chance = random.Random(2)
    for _ in range(150):
        study.begin(chance.random())
    promoted = [each.user_attrs["promoted_from"] for each in iter(study.promote, None)]
    assert promoted
    assert len(pruner._brackets) == brackets
    for index in range(brackets):
        trials = [
            t for t in study.study.trials[:150] if pruner._bracket_of(study.study, t) == index
        ]
        if pruner._brackets[index].rungs[:1] != (1,):
            continue
        ranked = sorted(trials, key=lambda trial: -trial.intermediate_values[1])
        for trial in ranked[: len(trials) // 3]:
            running = trial.state is TrialState.RUNNING
            assert running or trial.number in promoted


@pytest.mark.parametrize(("before", "after"), [("hyperband", "asha"), ("asha", "hyperband")])
def test_another_pruner_compares_what_trials_had_after_its_own_epochs(
    before: str, after: str
) -> None:
    earlier = Study(build_pruner(before, epochs=9))
    random.seed(1)
    for number in range(30):
        trial = earlier.study.ask()
        for epoch in range(1, 10):
            trial.report(number / 100 + epoch / 1000, epoch)
            if trial.should_prune():
                trial.set_user_attr(lineage.PAUSED, True)
                earlier.study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            earlier.study.tell(trial, number / 100)
    pruner = build_pruner(after, epochs=9)
    assert isinstance(pruner, RungPruner)
    pruner._load_once(earlier.study)
    judged = {place: rung for place, rung in pruner._rungs.items() if rung._of_line}
    assert judged
    for (index, rung), values in judged.items():
        epoch = pruner._epoch(index, rung)
        found = {round(-loss * 1000 % 10) for loss in values._of_line.values()}
        assert found == {epoch}
    if isinstance(pruner, PromotingPruner):
        promotions = Promotions(earlier.study)
        promotions._pruner = pruner
        promotions.load(range(30))
        assert all(rung >= 0 for _, rung in pruner._rungs)


def test_what_may_be_promoted_is_known_before_it_is(study: Study) -> None:
    fill(study, 0.9, 0.8, 0.1, 0.2, 0.3)
    assert not study.promotions.has_next()
    fill(study, 0.05)
    assert study.promotions.has_next()
    assert study.promote() is not None
    assert not study.promotions.has_next()
