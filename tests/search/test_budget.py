from __future__ import annotations

import pytest

from search.budget import Budget, Spent


@pytest.mark.parametrize(
    ("budget", "spent", "reason"),
    [
        (Budget(epochs=10), Spent(epochs=9), None),
        (Budget(epochs=10), Spent(epochs=10), "the budget of 10 epochs is spent"),
        (Budget(epochs=10), Spent(epochs=12), "the budget of 10 epochs is spent"),
        (Budget(hours=1.5), Spent(seconds=5399.0), None),
        (Budget(hours=1.5), Spent(seconds=5400.0), "the budget of 1.5 hours is spent"),
        (Budget(trials=2), Spent(trials=5, epochs=10**6, seconds=1e9), None),
        (Budget(epochs=5, hours=1), Spent(seconds=3600.0), "the budget of 1 hours is spent"),
    ],
)
def test_epochs_and_hours_end_every_trial(budget: Budget, spent: Spent, reason: str | None) -> None:
    assert budget.spent_by(spent) == reason


@pytest.mark.parametrize(("begun", "another"), [(0, True), (2, True), (3, False), (9, False)])
def test_a_number_of_trials_ends_only_the_beginning_of_more(begun: int, another: bool) -> None:
    assert Budget(trials=3).allows_another(Spent(trials=begun)) is another


def test_without_a_number_of_trials_there_is_always_another() -> None:
    assert Budget(hours=1).allows_another(Spent(trials=10**6))
