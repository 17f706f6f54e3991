"""What samplers that learn from full values only can learn from every trial."""

from __future__ import annotations

import copy

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class Lessons:
    """The finished trials of one study, each with a value.

    A trial that was pruned has the value of its last epoch. One that broke a constraint has the
    worst that any had, so that a model without constraints keeps away from its like.
    """

    def __init__(self) -> None:
        """Knows nothing yet."""
        self._copies: dict[int, FrozenTrial] = {}

    def read(self, study: optuna.Study) -> list[FrozenTrial]:
        """The trials as complete ones without constraints, in the order of their numbers."""
        trials = study.get_trials(deepcopy=False, states=_FINISHED)
        several = len(study.directions) > 1
        values = {trial.number: values for trial in trials if (values := _values(trial, several))}
        if not values:
            return []
        worst = [
            (min if direction is StudyDirection.MAXIMIZE else max)(column)
            for direction, column in zip(
                study.directions, zip(*values.values(), strict=True), strict=True
            )
        ]
        lessons = []
        for trial in trials:
            shown = values.get(trial.number) or (worst if _is_infeasible(trial) else None)
            if shown is not None:
                lessons.append(self._as_complete(trial, shown))
        return lessons

    def _as_complete(self, trial: FrozenTrial, values: list[float]) -> FrozenTrial:
        if trial.number not in self._copies:
            shown = copy.copy(trial)
            shown.state = TrialState.COMPLETE
            shown.system_attrs = {
                name: value
                for name, value in trial.system_attrs.items()
                if not name.startswith("constraints")
            }
            self._copies[trial.number] = shown
        # The worst of all gets worse.
        self._copies[trial.number].values = values
        return self._copies[trial.number]


def _is_infeasible(trial: FrozenTrial) -> bool:
    return any(excess > 0 for excess in trial.constraints.values())


def _values(trial: FrozenTrial, several: bool) -> list[float] | None:
    if _is_infeasible(trial):
        return None
    if trial.state is TrialState.COMPLETE:
        return list(trial.values)
    step = trial.last_step
    # An epoch has one value only, where the study may have two objectives.
    return None if step is None or several else [trial.intermediate_values[step]]
