"""Trials by a plan, each once however often the search is started."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from search import lineage
from search.plan import CHANGE, Plan
from search.space import Space
from trainer.conditions import matters


class PlannedSampler(optuna.samplers.BaseSampler):
    """Gives the next run of a plan that no trial of the study has had.

    What was enqueued counts as well, and so does a trial that failed. A trial that somebody
    enqueued with some values only takes the others from the next run, and from the plan's
    defaults. One sampler serves one study, and one trial is asked for at a time.
    """

    def __init__(self, plan: Plan, space: Space) -> None:
        """Prepares a sampler for one study.

        Args:
            plan: What is to be run.
            space: Of the study.
        """
        self._plan, self._space = plan, space
        self._taken: set[Hashable] = set()
        self._unread: list[int] = []
        self._known = 0
        self._next = 0
        self._chosen: tuple[int, Mapping[str, Any]] = (-1, {})

    def exhausted(self, study: optuna.Study) -> bool:
        """Whether every run of the plan has been given to a trial."""
        self._read(study)
        while self._next < self._plan.size and self._key(self._entry()) in self._taken:
            self._next += 1
        return self._next >= self._plan.size

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """None: every value is the plan's."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The value that the trial's run has."""
        if self._chosen[0] != trial.number:
            self._chosen = (trial.number, self._choose(study, trial))
        return self._chosen[1][param_name]

    def _choose(self, study: optuna.Study, trial: FrozenTrial) -> Mapping[str, Any]:
        given = {**lineage.enqueued_values(trial), **trial.params}
        if self.exhausted(study):
            if not given:
                raise RuntimeError("a trial was asked for when the plan held no more")
            return self._plan.defaults
        planned = self._plan.entry(self._next)
        # Whoever gave a trial other values than the plan's has not made the plan's change.
        as_planned = all(planned.params.get(name) == value for name, value in given.items())
        if as_planned and planned.change is not None and CHANGE not in trial.user_attrs:
            study._storage.set_trial_user_attr(trial._trial_id, CHANGE, planned.change)
        return {**self._plan.defaults, **planned.params}

    def _entry(self) -> Mapping[str, Any]:
        return self._plan.entry(self._next).params

    def _read(self, study: optuna.Study) -> None:
        """Takes in what trials have come since the last time, and what values they have got."""
        trials = study.get_trials(deepcopy=False)
        numbers = [*self._unread, *range(self._known, len(trials))]
        self._known, self._unread = len(trials), []
        for number in numbers:
            trial = trials[number]
            key = self._key({**lineage.enqueued_values(trial), **trial.params})
            if key is not None:
                self._taken.add(key)
            elif not trial.state.is_finished():
                self._unread.append(number)

    def _key(self, params: Mapping[str, Any]) -> Hashable | None:
        """What two trials of the same run have in common; None while values are missing."""
        values, key = dict(self._space.fixed), []
        for dimension in self._space.in_order():
            if matters(dimension.name, values):
                if dimension.name not in params:
                    return None
                values[dimension.name] = params[dimension.name]
                key.append((dimension.name, params[dimension.name]))
        return tuple(key)
