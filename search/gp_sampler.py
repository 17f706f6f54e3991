"""A Gaussian process by Optuna, in studies that prune and that have constraints."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from search import lineage
from search.always_asked import always_asked
from search.lessons import Lessons
from search.part_of_study import PartOfStudy
from search.space import Space


class GaussianProcessSampler(optuna.samplers.GPSampler):
    """A Gaussian process over the dimensions that every run has; chance for the others.

    Optuna's learns from complete trials only. Needs torch.
    """

    def __init__(self, *, seed: int, space: Space | None) -> None:
        """Prepares a sampler for one study.

        Args:
            seed: The same seed and history give the same trials.
            space: What is searched; without it the dimensions are those that all trials have had.
        """
        super().__init__(seed=seed, warn_independent_sampling=False)
        self._always = None if space is None else always_asked(space)
        self._lessons = Lessons()

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The dimensions that are modelled."""
        if self._always is None:
            return super().infer_relative_search_space(study, trial)
        return {name: each for name, each in self._always.items() if not each.single()}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draws the dimensions that are modelled."""
        lessons = self._lessons.read(study)
        known = {lineage.origin(each) for each in lessons}
        # One that goes on from what was stopped is the same run, and shown already.
        running = [
            each
            for each in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if lineage.origin(each) not in known
        ]
        shown = PartOfStudy(study, [*lessons, *running])
        return super().sample_relative(shown, trial, search_space)
