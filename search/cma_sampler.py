"""CMA-ES by Optuna, in studies that prune, that have constraints, and whose data is not trusted."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from search.always_asked import always_asked
from search.lessons import Lessons
from search.space import Space


class CmaSampler(optuna.samplers.CmaEsSampler):
    """CMA-ES over the ranges that every run has; chance for choices and the other dimensions.

    Optuna's keeps the state of its optimizer in the study as a pickle, which whoever can write to
    the database could have anything done by. This one makes it anew from the trials: each
    generation that is full is told once more.
    """

    def __init__(self, *, seed: int, space: Space | None) -> None:
        """Prepares a sampler for one study.

        Args:
            seed: The same seed and history give the same trials.
            space: What is searched; without it the ranges are those that all trials have had.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            super().__init__(
                seed=seed,
                independent_sampler=optuna.samplers.RandomSampler(seed=seed),
                warn_independent_sampling=False,
                consider_pruned_trials=True,
            )
        self._lessons = Lessons()
        self._optimizer: Any = None
        self._seen: list[FrozenTrial] = []
        self._ranges = None if space is None else _ranges(space)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The ranges that are modelled."""
        if self._ranges is None:
            return super().infer_relative_search_space(study, trial)
        return self._ranges

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Nothing: Optuna's warns here that it learns nothing from constraints."""

    # What follows takes the place of Optuna's own reading and keeping of its state.

    def _get_trials(self, study: optuna.Study) -> list[FrozenTrial]:
        self._seen = self._lessons.read(study)
        return self._seen

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        return self._optimizer

    def _split_optimizer_str(self, optimizer_str: str) -> dict[str, str]:
        return {}

    def _init_optimizer(self, trans: Any, direction: optuna.study.StudyDirection) -> Any:
        optimizer = self._optimizer = super()._init_optimizer(trans, direction)
        sign = 1.0 if direction is optuna.study.StudyDirection.MINIMIZE else -1.0
        generations: defaultdict[int, list[FrozenTrial]] = defaultdict(list)
        for trial in self._seen:
            generations[trial.system_attrs.get(self._attr_key_generation, -1)].append(trial)
        # The newest full one is told by Optuna's own code.
        while len(generations[optimizer.generation + 1]) > 0:
            told = generations[optimizer.generation][: optimizer.population_size]
            optimizer.tell([(trans.transform(each.params), sign * each.values[0]) for each in told])
        return optimizer


def _ranges(space: Space) -> dict[str, BaseDistribution]:
    return {
        name: each
        for name, each in always_asked(space).items()
        if not isinstance(each, CategoricalDistribution)
    }
