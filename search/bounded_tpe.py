"""TPE at a cost that does not grow with the study."""

from __future__ import annotations

import warnings
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from search.part_of_study import PartOfStudy
from search.tpe_history import GOOD, TpeHistory

_FINISHED_SHOWN = 500
_RUNNING_SHOWN = 250


class BoundedTPESampler(optuna.samplers.TPESampler):
    """Optuna's TPE, shown a bounded part of a study.

    Up to that bound it draws what Optuna's draws. Beyond it a trial costs no more to ask for,
    while Optuna's reads and models the whole study for each. One sampler serves one study, and
    one trial is asked for at a time.
    """

    def __init__(
        self, *, seed: int, finished: int = _FINISHED_SHOWN, running: int = _RUNNING_SHOWN
    ) -> None:
        """Prepares a sampler for one study.

        Args:
            seed: The same seed and history give the same trials.
            finished: About how many finished trials it learns from.
            running: How many running ones it keeps away from.
        """
        if finished < 10 * GOOD:
            # TPE takes a tenth of what it sees for good, up to GOOD.
            raise ValueError(f"finished: expected at least {10 * GOOD} trials, got {finished}")
        with warnings.catch_warnings():
            # `group` is called experimental; without it conditional dimensions are not modelled.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # Said outright, since with two objectives Optuna's default is another.
            super().__init__(seed=seed, multivariate=True, group=True)
        self._finished_shown, self._running_shown = finished, running
        self._history = TpeHistory()

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """What Optuna infers: its groups of dimensions are kept, and only ever refined."""
        new = self._history.read(study)
        return super().infer_relative_search_space(PartOfStudy(study, new), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draws the dimensions that are modelled together."""
        return super().sample_relative(self._excerpt(study), trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draws a dimension that no trial had before, and every one of the first trials."""
        return super().sample_independent(
            self._excerpt(study), trial, param_name, param_distribution
        )

    def _excerpt(self, study: optuna.Study) -> optuna.Study:
        trials = self._history.excerpt(finished=self._finished_shown, running=self._running_shown)
        return PartOfStudy(study, trials)
