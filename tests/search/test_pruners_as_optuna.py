"""Our pruner beside Optuna's own: two studies of one name, told the same, decision by decision."""

from __future__ import annotations

import random
from collections.abc import Callable

import optuna
import pytest
from optuna.pruners import BasePruner, HyperbandPruner, SuccessiveHalvingPruner
from optuna.study import StudyDirection as Direction
from optuna.trial import TrialState

from search import lineage
from search.pruners import build_pruner
from search.rung_pruner import Bracket, RungPruner

# Few values, so that many are equal.
VALUES = [0.0, 0.1, 0.2, 0.3, 0.5, 0.5, 0.7, 0.9, 0.9, 1.0, float("inf"), float("-inf")]
DIRECTIONS = (Direction.MAXIMIZE, Direction.MINIMIZE)


def build_hyperband(epochs: int) -> RungPruner:
    """Ours, with all the rungs of Optuna's: those at the end of the budget and beyond as well."""
    pruner = build_pruner("hyperband", epochs=epochs)
    assert isinstance(pruner, RungPruner)
    brackets = [
        Bracket(tuple(3**power for power in range(first, 9)), bracket.share)
        for first, bracket in enumerate(pruner._brackets)
    ]
    return RungPruner(brackets, reduction=3)


class Pair:
    """A study with our pruner and an equal one with Optuna's."""

    def __init__(
        self,
        seed: int,
        direction: Direction,
        ours: Callable[[], BasePruner],
        theirs: BasePruner,
    ) -> None:
        self.random = random.Random(seed)
        self.build = ours
        self.ours = optuna.create_study(
            study_name=f"mito-{seed}", direction=direction, pruner=ours()
        )
        self.theirs = optuna.create_study(
            study_name=f"mito-{seed}", direction=direction, pruner=theirs
        )
        self.verdicts: list[bool] = []

    def ask(self) -> tuple[optuna.Trial, optuna.Trial]:
        return self.ours.ask(), self.theirs.ask()

    def restart(self) -> None:
        self.ours.pruner = self.build()

    def draw(self, *, nan: float = 0.0) -> float:
        return float("nan") if self.random.random() < nan else self.random.choice(VALUES)

    def judge(self, ours: optuna.Trial, theirs: optuna.Trial) -> bool:
        verdict = ours.should_prune()
        assert verdict == theirs.should_prune(), (ours.number, theirs.number)
        self.verdicts.append(verdict)
        return verdict


def recorded(study: optuna.Study) -> list[dict[str, float]]:
    return [
        {key: value for key, value in trial.system_attrs.items() if "rung" in key}
        for trial in study.trials
    ]


def run_at_random(pair: Pair, epochs: int, *, decisions: int = 300) -> None:
    """Several running trials that report in any order, skip epochs, and now and then go wrong."""
    running: list[tuple[optuna.Trial, optuna.Trial]] = []
    for _ in range(decisions):
        if len(running) < 6:
            running.append(pair.ask())
        trials = pair.random.choice(running)
        step = trials[0].storage.get_trial(trials[0]._trial_id).last_step or 0
        ahead = pair.random.choice([0, 1, 1, 1, 1, 2, 5])
        step += ahead
        if step:
            value = pair.draw(nan=0.05)
            for trial in trials:
                # A step that was reported before keeps its value, and is judged once more.
                trial.report(value, step)
        stopped = pair.judge(*trials)
        # One that goes on though it was stopped for an epoch that it skipped has at later rungs
        # what it had there; Optuna gives it what it has when it is asked about them.
        ends = (1.0 if ahead > 1 else 0.8) if stopped else 0.02
        if step >= epochs or pair.random.random() < ends:
            running.remove(trials)
            for study, trial in zip((pair.ours, pair.theirs), trials, strict=True):
                study.tell(trial, state=TrialState.PRUNED if stopped else TrialState.FAIL)
        if pair.random.random() < 0.02:
            pair.restart()


@pytest.mark.filterwarnings("ignore:The reported value is ignored")
@pytest.mark.parametrize("direction", DIRECTIONS)
# Of 243 Optuna takes the logarithm to be a little below 5, and a bracket less.
@pytest.mark.parametrize("epochs", [1, 2, 9, 27, 81])
@pytest.mark.parametrize("seed", range(2))
def test_hyperband_decides_as_optunas(seed: int, epochs: int, direction: Direction) -> None:
    pair = Pair(
        seed,
        direction,
        lambda: build_hyperband(epochs),
        HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3),
    )
    run_at_random(pair, epochs)
    assert set(pair.verdicts) == {True, False}
    assert recorded(pair.ours) == recorded(pair.theirs)


@pytest.mark.filterwarnings("ignore:The reported value is ignored")
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("first", "reduction", "rate"), [(1, 2, 0), (1, 4, 0), (9, 3, 2)])
def test_one_bracket_is_successive_halving(
    first: int, reduction: int, rate: int, direction: Direction
) -> None:
    rungs = tuple(first * reduction**power for power in range(6))
    pair = Pair(
        first + reduction,
        direction,
        lambda: RungPruner([Bracket(rungs)], reduction=reduction),
        SuccessiveHalvingPruner(
            min_resource=1, reduction_factor=reduction, min_early_stopping_rate=rate
        ),
    )
    run_at_random(pair, 30)
    assert set(pair.verdicts) == {True, False}
    assert recorded(pair.ours) == recorded(pair.theirs)


def taken(study: optuna.Study) -> optuna.Trial:
    trial = lineage.take_continuation(study)
    assert trial is not None
    return trial


class Line:
    """A trial that is interrupted in our study, and undisturbed in the other."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.ours, self.theirs = pair.ask()
        self.history: list[float] = []
        self.interrupted = False

    def interrupt(self) -> None:
        lineage.end_for_now(self.pair.ours, self.ours, "interrupted")
        self.interrupted = True

    def go_on(self) -> None:
        lineage.enqueue_continuation(self.pair.ours, self.ours)
        # It takes a number, which the other study leaves out.
        self.pair.theirs.tell(self.pair.theirs.ask(), state=TrialState.FAIL)
        self.ours, self.interrupted = taken(self.pair.ours), False
        for epoch, value in enumerate(self.history, 1):
            self.ours.report(value, epoch)
            self.ours.should_prune()

    def advance(self) -> bool:
        """Reports an epoch, and tells whether the line is stopped."""
        self.history.append(self.pair.draw())
        for trial in (self.ours, self.theirs):
            trial.report(self.history[-1], len(self.history))
        return self.pair.judge(self.ours, self.theirs)

    def end(self) -> None:
        self.pair.ours.tell(self.ours, state=TrialState.PRUNED)
        self.pair.theirs.tell(self.theirs, state=TrialState.PRUNED)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("seed", range(5))
def test_interruptions_change_no_decision_of_any_trial(seed: int, direction: Direction) -> None:
    pair = Pair(
        seed,
        direction,
        lambda: build_hyperband(27),
        HyperbandPruner(min_resource=1, max_resource=27, reduction_factor=3),
    )
    lines: list[Line] = []
    for _ in range(300):
        if len(lines) < 5:
            lines.append(Line(pair))
        line = pair.random.choice(lines)
        if line.interrupted:
            line.go_on()
        elif pair.random.random() < 0.15:
            line.interrupt()
        elif line.advance() or len(line.history) == 27:
            lines.remove(line)
            line.end()
        if pair.random.random() < 0.05:
            pair.restart()
    gone_on = [trial for trial in pair.ours.trials if lineage.is_continuation(trial)]
    assert len(gone_on) > 20
    assert set(pair.verdicts) == {True, False}


def test_what_a_line_reports_anew_takes_the_place_of_what_it_reported_before() -> None:
    # One of two passes: with two values at a rung, only the better one.
    study = optuna.create_study(
        direction="maximize", pruner=RungPruner([Bracket((1, 2, 4))], reduction=2)
    )

    def first_epoch(trial: optuna.Trial, value: float) -> bool:
        trial.report(value, 1)
        return trial.should_prune()

    trial = study.ask()
    assert not first_epoch(trial, 0.9)
    lineage.end_for_now(study, trial, "interrupted")
    lineage.enqueue_continuations(study)
    # Without its checkpoint it trains the epoch again, and does worse.
    assert not first_epoch(taken(study), 0.1)
    for pruner in (study.pruner, RungPruner([Bracket((1, 2, 4))], reduction=2)):
        study.pruner = pruner
        assert not first_epoch(study.ask(), 0.5)
    assert first_epoch(study.ask(), 0.4)


def test_one_pruner_keeps_two_studies_apart() -> None:
    # Lower values, which would not pass beside those of the first study.
    pruner = RungPruner([Bracket((1, 3, 9))], reduction=3)
    for best in (0.9, 0.1):
        study = optuna.create_study(study_name="mito", direction="maximize", pruner=pruner)
        for value, expected in ((best, False), (best / 2, True), (best / 3, True)):
            trial = study.ask()
            trial.report(value, 1)
            assert trial.should_prune() is expected


def test_a_trial_without_a_report_is_not_stopped() -> None:
    study = optuna.create_study(pruner=build_pruner("hyperband", epochs=1))
    assert not study.ask().should_prune()


def test_samplers_see_the_trials_of_every_bracket() -> None:
    seen: list[int] = []

    class Watching(optuna.samplers.RandomSampler):
        def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            seen.append(len(study.get_trials(deepcopy=False)))

    study = optuna.create_study(
        sampler=Watching(seed=0), pruner=build_pruner("hyperband", epochs=27)
    )
    for _ in range(5):
        study.ask()
    assert seen == [1, 2, 3, 4, 5]
