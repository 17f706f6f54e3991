"""The trials of a study as a report shows them: one run for each line of trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import optuna
from optuna.trial import FrozenTrial, TrialState

from search import lineage
from search.config import Config
from search.objectives import dice_of

Ending = Literal["trained to the end", "stopped early", "infeasible", "failed", "running"]
"""How a run ended, infeasible ones apart from those that a rung stopped."""
_ENDINGS: Mapping[TrialState, Ending] = {
    TrialState.COMPLETE: "trained to the end",
    TrialState.PRUNED: "stopped early",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class Run:
    """A trial, with all that it went on from.

    Attributes:
        number: Of the newest trial of the line.
        state: How that one ended.
        params: Its values, by dimension.
        reports: Dice on the validation sections, by epoch.
        value: The last one, where the run was trained to its end; only such runs compete.
        feasible: Whether it kept within the memory and the limits.
        facts: What else is known: loss, threshold, seconds.
        second: The second objective of a run with a value, where the study has one.
    """

    number: int
    state: TrialState
    params: Mapping[str, Any]
    reports: Mapping[int, float]
    value: float | None
    feasible: bool
    facts: Mapping[str, Any]
    second: float | None = None

    @property
    def ending(self) -> Ending:
        """How it ended, if it has."""
        return _ENDINGS.get(self.state, "running") if self.feasible else "infeasible"

    @property
    def last(self) -> float | None:
        """The Dice that it came to, trained to its end or not."""
        return self.reports[max(self.reports)] if self.reports else None


def read_runs(study: optuna.Study, config: Config) -> list[Run]:
    """All runs of a study that have begun, in the order of their numbers."""
    trials = study.get_trials(deepcopy=False)
    continued = {lineage.forerunner(trial) for trial in trials}
    begun = (trial for trial in trials if trial.state is not TrialState.WAITING)
    return [
        _read(trial, config.study.epochs_per_trial)
        for trial in begun
        if trial.number not in continued
    ]


def count_endings(runs: Sequence[Run]) -> dict[Ending, int]:
    """How many runs ended in which way."""
    endings = [run.ending for run in runs]
    return {ending: endings.count(ending) for ending in get_args(Ending)}


def best_first(runs: Sequence[Run]) -> list[Run]:
    """The runs that were trained to their end, the best first."""
    complete = [run for run in runs if run.value is not None]
    return sorted(complete, key=lambda run: (-(run.value or 0.0), run.number))


def _read(trial: FrozenTrial, epochs: int) -> Run:
    complete = lineage.is_candidate(trial, epochs)
    reports = dict(sorted(trial.intermediate_values.items()))
    dice = dice_of(trial)
    return Run(
        number=trial.number,
        state=trial.state,
        params=trial.params,
        reports=reports or ({epochs: dice} if complete and dice is not None else {}),
        value=dice if complete else None,
        feasible=all(excess <= 0 for excess in trial.constraints.values()),
        facts=trial.user_attrs,
        second=trial.values[1] if complete and len(trial.values) > 1 else None,
    )
