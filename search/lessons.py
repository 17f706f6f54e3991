"""What samplers that learn from full values only can learn from every trial."""

from __future__ import annotations

import copy

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search import lineage

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class Lessons:
    """The finished trials of one study, each with a value.

    A trial that was pruned has the value of its last epoch. One that broke a constraint has the
    worst that any had, so that a model without constraints keeps away from its like.

    A trial and those that go on from it are one line, and the same run: it is shown once, where
    the first of them that finished would be, with what the newest of them came to.
    """

    def __init__(self) -> None:
        """Knows nothing yet."""
        self._copies: dict[int, FrozenTrial] = {}

    def read(self, study: optuna.Study) -> list[FrozenTrial]:
        """The lines as complete trials without constraints, in the order in which they finished."""
        trials = study.get_trials(deepcopy=False)
        lines = {lineage.origin(each): each for each in trials if each.state in _FINISHED}
        several = len(study.directions) > 1
        known = ((line, _values(each, several)) for line, each in lines.items())
        values = {line: own for line, own in known if own}
        if not values:
            return []
        worst = [
            (min if direction is StudyDirection.MAXIMIZE else max)(column)
            for direction, column in zip(
                study.directions, zip(*values.values(), strict=True), strict=True
            )
        ]
        lessons = []
        for line, trial in lines.items():
            shown = values.get(line) or (worst if _is_infeasible(trial) else None)
            if shown is not None:
                lessons.append(self._as_complete(trial, trials[line], shown))
        return lessons

    def _as_complete(
        self, trial: FrozenTrial, first: FrozenTrial, values: list[float]
    ) -> FrozenTrial:
        if trial.number not in self._copies:
            shown = copy.copy(trial)
            shown.state = TrialState.COMPLETE
            # What the sampler keeps with a trial, it keeps with the one that it was asked for.
            shown.system_attrs = {
                name: value
                for name, value in {**first.system_attrs, **trial.system_attrs}.items()
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
