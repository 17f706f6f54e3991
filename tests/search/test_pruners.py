from __future__ import annotations

from itertools import pairwise
from typing import get_args

import optuna
import pytest

from search.config_sections import StudyConfig
from search.pruners import build_pruner, expected_epochs, most_paused, rungs


def stops(epochs: int, trials: int) -> list[int | None]:
    """After which epoch the pruner stops each trial, None for those at full budget."""
    study = optuna.create_study(
        study_name="mito",
        direction="maximize",
        # A sampler that learns would pass more and more of its trials on.
        sampler=optuna.samplers.RandomSampler(seed=4),
        pruner=build_pruner("hyperband", epochs=epochs),
    )
    found: list[int | None] = []
    for _ in range(trials):
        trial = study.ask()
        quality, stopped = trial.suggest_float("quality", 0, 1), None
        for epoch in range(1, epochs):
            trial.report(quality, epoch)
            if trial.should_prune():
                stopped = epoch
                break
        state = optuna.trial.TrialState.PRUNED if stopped else None
        study.tell(trial, None if stopped else quality, state=state)
        found.append(stopped)
    return found


def test_each_pruner_that_a_config_knows_stops_trials_in_its_own_way() -> None:
    names = get_args(StudyConfig.model_fields["pruner"].annotation)
    pruners = [build_pruner(name, epochs=9) for name in names]
    ways = {(type(each), len(getattr(each, "_brackets", ()))) for each in pruners}
    assert len(ways) == len(names) == 7


@pytest.mark.parametrize("epochs", [1, 2, 3, 6, 9, 27])
def test_trials_are_stopped_at_the_rungs_and_nowhere_else(epochs: int) -> None:
    found = {stop for stop in stops(epochs, trials=150) if stop}
    assert found == {rung for bracket in rungs("hyperband", epochs=epochs) for rung in bracket}


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(1, [[]]), (2, [[]]), (3, [[1], []]), (6, [[2], []]), (10, [[1, 3], [3], []])],
)
def test_each_bracket_begins_to_stop_later(epochs: int, expected: list[list[int]]) -> None:
    assert rungs("hyperband", epochs=epochs) == expected


@pytest.mark.parametrize("name", ["asha", "successive_halving"])
@pytest.mark.parametrize("epochs", [*range(1, 70), 1000])
def test_what_a_trial_may_train_on_for_is_worth_its_rung(name: str, epochs: int) -> None:
    [found] = rungs(name, epochs=epochs)
    steps = list(pairwise([*found, epochs]))
    # As published: every rung, and the end, is twice as far as the one before, or a little more.
    assert all(2 * low <= high <= 2 * low + 1 for low, high in steps)
    assert epochs == 1 or found[0] == 1


@pytest.mark.parametrize("epochs", [3, 9, 27, 81])
def test_hyperband_has_the_rungs_of_optunas_where_the_budget_is_a_power(epochs: int) -> None:
    powers = [3**power for power in range(8) if 3**power < epochs]
    assert rungs("hyperband", epochs=epochs) == [powers[at:] for at in range(len(powers) + 1)]


def test_a_trial_that_is_judged_late_has_at_each_rung_what_it_had_there() -> None:
    pruner = build_pruner("successive_halving", epochs=27)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    late = study.ask()
    for epoch, value in enumerate((0.1, 0.0, 0.2, 0.3, 0.0, 0.9), 1):
        # As long as it is not known whether it keeps to the limits, the pruner is not asked.
        late.report(value, epoch)
    assert not late.should_prune()
    attributes = study.trials[0].system_attrs
    assert [attributes[f"completed_rung_{rung}"] for rung in (0, 1, 2)] == [0.1, 0.2, 0.9]
    other = study.ask()
    other.report(0.2, 1)
    assert not other.should_prune()


def test_no_pruner_stops_nothing() -> None:
    assert rungs("none", epochs=9) == []
    assert expected_epochs("none", epochs=9) == 9
    trial = optuna.create_study(pruner=build_pruner("none", epochs=9)).ask()
    trial.report(0.0, 1)
    assert not trial.should_prune()


@pytest.mark.parametrize(
    ("name", "expected"), [("hyperband", 0), ("none", 0), ("asha", 12), ("async_hyperband", 12)]
)
def test_so_many_trials_are_paused_at_most(name: str, expected: int) -> None:
    assert most_paused(name, epochs=9, keep_paused=4) == expected


def test_promotion_stops_trials_at_the_same_rungs() -> None:
    assert rungs("asha", epochs=9) == rungs("successive_halving", epochs=9) == [[1, 2, 4]]
    assert rungs("async_hyperband", epochs=9) == rungs("hyperband", epochs=9)


@pytest.mark.parametrize("epochs", [6, 9, 27])
def test_the_expected_length_of_a_trial_is_about_that_of_a_search(epochs: int) -> None:
    lengths = [stop or epochs for stop in stops(epochs, trials=200)]
    assert expected_epochs("hyperband", epochs=epochs) == pytest.approx(
        sum(lengths) / len(lengths), rel=0.3
    )


def test_successive_halving_halves() -> None:
    assert rungs("successive_halving", epochs=27) == [[1, 3, 6, 13]]
    # 1 epoch for all, 2 more for a half, 3 more for a quarter, and so on.
    assert expected_epochs("successive_halving", epochs=27) == pytest.approx(
        1 + 2 / 2 + 3 / 4 + 7 / 8 + 14 / 16
    )


def test_each_pruner_says_when_it_may_stop_a_trial() -> None:
    assert rungs("median", epochs=4) == [[1, 2, 3]]
    assert rungs("patient", epochs=9, patience=2) == [[3, 4, 5, 6, 7, 8]]
    assert rungs("patient", epochs=9) == [[4, 5, 6, 7, 8]]
    assert rungs("patient", epochs=1) == [[]]
    assert (expected_epochs("median", epochs=9), expected_epochs("patient", epochs=9)) == (5, 9)


@pytest.mark.parametrize(
    ("curve", "stops_after"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], None),
        ([0.5, 0.4, 0.6, 0.1, 0.2], 5),
        ([0.5, 0.4, 0.6, 0.5, 0.7], None),
        ([0.5, 0.1, 0.1], 3),
        ([0.5, 0.5, 0.5, 0.5], None),
    ],
)
def test_patience_ends_with_so_many_epochs_without_a_new_best(
    curve: list[float], stops_after: int | None
) -> None:
    pruner = build_pruner("patient", epochs=9, patience=2)
    trial = optuna.create_study(direction="maximize", pruner=pruner).ask()
    stopped = None
    for epoch, value in enumerate(curve, 1):
        trial.report(value, epoch)
        if trial.should_prune():
            stopped = stopped or epoch
    assert stopped == stops_after
