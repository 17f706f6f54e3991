from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import TPESampler
from optuna.samplers._tpe.sampler import _split_trials
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.bounded_tpe import BoundedTPESampler
from search.tpe_history import GOOD, TpeHistory

MAXIMIZE, MINIMIZE = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
SPACE: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
    "depth": IntDistribution(2, 6),
    "loss": CategoricalDistribution(["bce", "dice", "focal"]),
}


def plain(seed: int) -> TPESampler:
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        return TPESampler(seed=seed, group=True)


def draw(chance: random.Random) -> dict[str, Any]:
    return {
        "rate": 10 ** chance.uniform(-5, -1),
        "depth": chance.randint(2, 6),
        "loss": chance.choice(["bce", "dice", "focal"]),
    }


def invent_trial(chance: random.Random, *, finished: bool = False) -> FrozenTrial:
    """A trial in any state, with values of which many are equal, and with or without reports."""
    state = chance.choice(
        [TrialState.COMPLETE] * 2
        + [TrialState.PRUNED] * 5
        + ([] if finished else [TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING])
    )
    broken = chance.random() < 0.1 and state.is_finished()
    reports = [chance.choice([0.1, 0.2, 0.5, math.nan]) for _ in range(chance.randint(0, 9))]
    return create_trial(
        state=state,
        value=chance.randint(0, 40) / 40 if state is TrialState.COMPLETE else None,
        params=draw(chance),
        distributions=SPACE,
        intermediate_values=dict(enumerate(reports, 1)),
        constraints={"memory": chance.choice([1.0, 2.0])} if broken else None,
    )


def invent_study(
    seed: int, trials: int, *, direction: StudyDirection = MAXIMIZE, finished: bool = False
) -> optuna.Study:
    chance = random.Random(seed)
    study = optuna.create_study(direction=direction)
    study.add_trials([invent_trial(chance, finished=finished) for _ in range(trials)])
    return study


def search_at_random(
    sampler: TPESampler, *, seed: int, trials: int, direction: StudyDirection
) -> Iterator[dict[str, Any]]:
    """Trials that overlap, end in every way, and have dimensions that others have not."""
    chance = random.Random(seed)
    study = optuna.create_study(direction=direction, sampler=sampler)
    running: list[optuna.Trial] = []
    for _ in range(trials):
        trial = study.ask()
        rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
        if trial.suggest_categorical("optimizer", ["adam", "sgd"]) == "sgd":
            trial.suggest_float("momentum", 0.5, 0.99)
            trial.suggest_categorical("nesterov", [True, False])
        if chance.random() < 0.3:
            trial.suggest_int("depth", 2, 6)
        trial.report(chance.choice([rate, math.nan, 0.5]), chance.randint(1, 3))
        yield trial.params
        running.append(trial)
        while len(running) > chance.randint(0, 5):
            ended = running.pop(chance.randrange(len(running)))
            if chance.random() < 0.1:
                ended.set_constraint("memory", 1.0)
            match chance.randrange(4):
                case 0:
                    study.tell(ended, state=TrialState.FAIL)
                case 1:
                    study.tell(ended, state=TrialState.PRUNED)
                case _:
                    study.tell(ended, abs(math.log10(rate) + 3))


@pytest.mark.parametrize("direction", [MAXIMIZE, MINIMIZE])
@pytest.mark.parametrize("seed", range(2))
def test_up_to_its_bound_it_draws_what_optunas_draws(seed: int, direction: StudyDirection) -> None:
    drawn = [
        list(search_at_random(sampler, seed=seed, trials=60, direction=direction))
        for sampler in (plain(seed), BoundedTPESampler(seed=seed))
    ]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("direction", [MAXIMIZE, MINIMIZE])
@pytest.mark.parametrize(("complete", "pruned"), [(200, 300), (3, 400), (3, 12)])
def test_all_that_tpe_takes_for_good_is_shown(
    complete: int, pruned: int, direction: StudyDirection
) -> None:
    chance = random.Random(complete + pruned)
    invented = [invent_trial(chance) for _ in range(3000)]
    feasible = [trial for trial in invented if not trial.constraints]
    trials = [
        *[trial for trial in feasible if trial.state is TrialState.COMPLETE][:complete],
        *[trial for trial in feasible if trial.state is TrialState.PRUNED][:pruned],
        *[trial for trial in feasible if not trial.state.is_finished()],
        *[trial for trial in invented if trial.constraints],
    ]
    chance.shuffle(trials)
    study = optuna.create_study(direction=direction)
    study.add_trials(trials)
    history = TpeHistory()
    history.read(study)
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    good, _ = _split_trials(study, study.get_trials(states=states), GOOD)
    shown = history.excerpt(finished=250, running=10)
    assert [trial.number for trial in _split_trials(study, shown, GOOD)[0]] == [
        trial.number for trial in good
    ]


@pytest.mark.parametrize("running", [0, 7, 1000])
def test_what_is_shown_of_a_large_study_is_bounded(running: int) -> None:
    study = invent_study(1, 2000)
    history = TpeHistory()
    history.read(study)
    shown = history.excerpt(finished=400, running=running)
    unfinished = [trial for trial in shown if trial.state is TrialState.RUNNING]
    assert len(shown) - len(unfinished) <= 400 + 400 // 4 + GOOD
    there_are = len(study.get_trials(states=(TrialState.RUNNING,)))
    assert len(unfinished) == min(running, there_are)
    assert [trial.number for trial in shown] == sorted({trial.number for trial in shown})
    assert {trial.state for trial in shown} <= {
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.RUNNING,
    }
    # From all over the study, the newest included.
    tenths = [trial.number // 200 for trial in shown]
    assert min(tenths.count(tenth) for tenth in range(10)) > 30


def test_a_history_read_bit_by_bit_is_the_one_read_at_once() -> None:
    chance = random.Random(5)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=5))
    history, running, new = TpeHistory(), list[optuna.Trial](), list[int]()
    for _ in range(600):
        running.append(study.ask(SPACE))
        while len(running) > chance.randint(0, 6):
            ended = running.pop(chance.randrange(len(running)))
            failed = chance.random() < 0.1
            study.tell(
                ended,
                None if failed else chance.random(),
                state=TrialState.FAIL if failed else None,
            )
        if chance.random() < 0.3:
            new += [trial.number for trial in history.read(study)]
    new += [trial.number for trial in history.read(study)]
    at_once = TpeHistory()
    finished = [trial.number for trial in at_once.read(study)]
    assert sorted(new) == finished
    for bounds in ((250, 3), (300, 100), (1000, 1000)):
        excerpts = [h.excerpt(finished=bounds[0], running=bounds[1]) for h in (history, at_once)]
        assert excerpts[0] == excerpts[1]


def test_beyond_the_bound_the_seed_and_the_history_decide() -> None:
    drawn = []
    for seed in (3, 3, 4):
        study = invent_study(6, 600, finished=True)
        study.sampler = BoundedTPESampler(seed=seed, finished=250, running=20)
        drawn.append([study.ask(SPACE).params for _ in range(5)])
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


def test_infeasible_trials_are_shown_though_they_are_few() -> None:
    chance = random.Random(2)
    study = optuna.create_study()
    rare = {40 * index + 3 for index in range(30)}
    study.add_trials(
        [
            create_trial(
                value=chance.random(),
                params=draw(chance),
                distributions=SPACE,
                constraints={"memory": 1.0} if number in rare else None,
            )
            for number in range(2000)
        ]
    )
    history = TpeHistory()
    history.read(study)
    shown = history.excerpt(finished=250, running=0)
    assert {trial.number for trial in shown if trial.constraints} == rare


def test_where_trials_are_infeasible_few_more_are_tried() -> None:
    study = optuna.create_study(sampler=BoundedTPESampler(seed=1, finished=250))
    chance = random.Random(1)
    space: dict[str, BaseDistribution] = {
        "rate": FloatDistribution(0, 1),
        "width": FloatDistribution(0, 1),
    }

    def add(params: dict[str, float]) -> None:
        infeasible = params["width"] > 0.6
        study.add_trial(
            create_trial(
                state=TrialState.PRUNED if infeasible else TrialState.COMPLETE,
                value=None if infeasible else abs(params["rate"] - 0.3),
                params=params,
                distributions=space,
                constraints={"memory": 1.0} if infeasible else None,
            )
        )

    for _ in range(600):
        add({"rate": chance.random(), "width": chance.random()})
    tried = [study.ask(space).params for _ in range(40)]
    assert sum(params["width"] > 0.6 for params in tried) <= 4


def hartmann(trial: optuna.Trial) -> float:
    """A usual test of optimisers: six dimensions, six local minima, the lowest at -3.322."""
    weights = (1.0, 1.2, 3.0, 3.2)
    steepness = (
        (10, 3, 17, 3.5, 1.7, 8),
        (0.05, 10, 17, 0.1, 8, 14),
        (3, 3.5, 1.7, 10, 17, 8),
        (17, 8, 0.05, 10, 0.1, 14),
    )
    centres = (
        (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
        (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
        (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
        (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
    )
    x = [trial.suggest_float(f"x{axis}", 0, 1) for axis in range(6)]
    return -sum(
        weight * math.exp(-sum(a * (at - c) ** 2 for a, at, c in zip(row, x, centre, strict=True)))
        for weight, row, centre in zip(weights, steepness, centres, strict=True)
    )


@pytest.mark.slow
def test_a_search_finds_as_much_when_it_is_shown_less() -> None:
    found = []
    for samplers in (plain, lambda seed: BoundedTPESampler(seed=seed, finished=250)):
        best = []
        for seed in range(2):
            study = optuna.create_study(sampler=samplers(seed))
            study.optimize(hartmann, n_trials=500)
            best.append(study.best_value)
        found.append(sum(best) / len(best))
    assert found[1] < found[0] + 0.03


def test_a_bound_below_what_tpe_needs_is_refused() -> None:
    with pytest.raises(ValueError, match="finished: expected at least 250 trials, got 100"):
        BoundedTPESampler(seed=0, finished=100)


# Lines: a trial and its promotions


def line_trial(
    state: TrialState, origin: int | None, reports: list[float], *, infeasible: bool = False
) -> FrozenTrial:
    return create_trial(
        state=state,
        value=reports[-1] if state is TrialState.COMPLETE else None,
        params={"rate": 1e-3, "depth": 3, "loss": "bce"},
        distributions=SPACE,
        intermediate_values=dict(enumerate(reports, 1)),
        user_attrs={} if origin is None else {"origin": origin},
        constraints={"memory": 1.0} if infeasible else None,
    )


@pytest.mark.parametrize(
    ("last", "shown"),
    [
        (line_trial(TrialState.RUNNING, 0, [0.5]), [0, 1]),
        (line_trial(TrialState.FAIL, 0, [0.5]), [0, 1]),
        (line_trial(TrialState.PRUNED, 0, [0.5, 0.5, 0.6]), [1, 2]),
        (line_trial(TrialState.COMPLETE, 0, [0.5] * 9), [1, 2]),
        (line_trial(TrialState.PRUNED, 0, [0.5], infeasible=True), [1, 2]),
    ],
    ids=["running", "failed", "stopped again", "complete", "infeasible"],
)
def test_a_line_is_shown_once_by_its_newest_trial_that_has_ended(
    last: FrozenTrial, shown: list[int]
) -> None:
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [line_trial(TrialState.PRUNED, None, [0.5]), line_trial(TrialState.COMPLETE, None, [0.9])]
    )
    bit_by_bit = TpeHistory()
    bit_by_bit.read(study)
    study.add_trial(last)
    for history in (bit_by_bit, TpeHistory()):
        history.read(study)
        excerpt = history.excerpt(finished=250, running=20)
        assert [trial.number for trial in excerpt] == shown


def test_tpe_ranks_a_study_of_lines_as_optunas_does_one_without_the_stopped_trials() -> None:
    chance = random.Random(8)
    trials: list[FrozenTrial] = []
    newest: dict[int, int] = {}
    for number in range(400):
        earlier = [line for line in newest if trials[newest[line]].state is TrialState.PRUNED]
        origin = chance.choice(earlier) if earlier and chance.random() < 0.4 else None
        states = [TrialState.PRUNED, TrialState.PRUNED, TrialState.COMPLETE]
        reports = [chance.random() for _ in range(chance.randint(1, 9))]
        trials.append(line_trial(chance.choice(states), origin, reports))
        newest[number if origin is None else origin] = number
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    history = TpeHistory()
    history.read(study)
    shown = history.excerpt(finished=1000, running=0)
    assert [trial.number for trial in shown] == sorted(newest.values())
    known = study.get_trials()
    alone = [known[number] for number in sorted(newest.values())]
    good = [[t.number for t in _split_trials(study, each, GOOD)[0]] for each in (shown, alone)]
    assert good[0] == good[1] == sorted(number for _, number in history._ranked[:GOOD])


def test_a_running_promotion_changes_nothing_of_what_is_drawn() -> None:
    drawn = []
    for promoted in (False, True):
        study = invent_study(3, 60, finished=True)
        stopped = next(t for t in study.trials if t.state is TrialState.PRUNED and t.params)
        study.sampler = BoundedTPESampler(seed=1)
        if promoted:
            study.add_trial(line_trial(TrialState.RUNNING, stopped.number, [0.5]))
        drawn.append(study.ask(SPACE).params)
    assert drawn[0] == drawn[1]
