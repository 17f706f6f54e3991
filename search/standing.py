"""How a search stands: what is running, what has ended, the best so far, and what it has cost."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import optuna
from optuna.trial import FrozenTrial, TrialState

from search import lineage
from search.budget import Spent
from search.objectives import dice_of

SECONDS_SPENT = "seconds_spent"
DEVICE_SECONDS_SPENT = "device_seconds_spent"


@dataclass
class Standing:
    """How a search stands, for whoever shows it.

    Attributes:
        running: Trials under way, and the epochs that each has done.
        counts: Ended trials by state, without those that go on as another one, or may do so.
        paused: Trials that were stopped at a rung and may be promoted.
        best: The best trial at full budget so far, its number and value.
        leading: The best value of any epoch so far.
        spent: Against the budget.
        epochs_each: Of a trial, on average, as far as the pruner lets it.
        pruned: Whether a pruner stops trials, so that their average tells more.
    """

    running: dict[int, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    paused: int = 0
    best: tuple[int, float] | None = None
    leading: float | None = None
    spent: Spent = field(default_factory=Spent)
    epochs_each: float = 0.0
    pruned: bool = True

    def lead(self, value: float) -> None:
        """Takes note of an epoch's value."""
        self.leading = value if self.leading is None else max(value, self.leading)

    def finish(self, number: int, value: float) -> None:
        """Takes note of a trial at full budget; of equals the earlier one stays the best."""
        if self.best is None or value > self.best[1]:
            self.best = (number, value)

    def end(self, state: TrialState) -> None:
        """Counts a trial that ended for good."""
        self.counts[state.name] = self.counts.get(state.name, 0) + 1


def take_stock(
    study: optuna.Study, *, epochs: int, epochs_each: float, paused: Collection[int] = ()
) -> Standing:
    """Counts what earlier runs of a study have done.

    Args:
        study: Without a RUNNING trial.
        epochs: Of a trial's full budget.
        epochs_each: Of a trial, on average, as far as the pruner lets it.
        paused: Trials that may be promoted.
    """
    standing = Standing(epochs_each=epochs_each, pruned=epochs_each < epochs, paused=len(paused))
    standing.spent.seconds = float(study.user_attrs.get(SECONDS_SPENT, 0.0))
    standing.spent.device_seconds = float(study.user_attrs.get(DEVICE_SECONDS_SPENT, 0.0))
    trials = study.get_trials(deepcopy=False)
    going_on = lineage.promoted(trials).union(paused)
    for trial in trials:
        if trial.state is not TrialState.WAITING:
            _count(standing, trial, epochs)
            if not trial.user_attrs.get(lineage.GOES_ON) and trial.number not in going_on:
                standing.end(trial.state)
    return standing


def _count(standing: Standing, trial: FrozenTrial, epochs: int) -> None:
    standing.spent.trials += int(not lineage.is_continuation(trial))
    standing.spent.epochs += lineage.epochs_of_its_own(trial)
    if trial.intermediate_values:
        standing.lead(max(trial.intermediate_values.values()))
    dice = dice_of(trial)
    if lineage.is_candidate(trial, epochs) and dice is not None:
        standing.finish(trial.number, dice)


def write_spent(study: optuna.Study, spent: Spent) -> None:
    """Keeps with the study what it has cost, for a restart to go on from."""
    study.set_user_attr(SECONDS_SPENT, round(spent.seconds, 1))
    study.set_user_attr(DEVICE_SECONDS_SPENT, round(spent.device_seconds, 1))
