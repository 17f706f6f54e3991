"""Points that fill a space evenly, by Optuna's quasi-Monte Carlo sampler."""

from __future__ import annotations

import warnings

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from search.always_asked import always_asked
from search.space import Space


class SobolSampler(optuna.samplers.QMCSampler):
    """A scrambled Sobol' sequence over the dimensions that every run has; chance for the others.

    The study keeps the place in the sequence, so that a search that goes on repeats none.
    """

    def __init__(self, *, seed: int, independent_seed: int, space: Space | None) -> None:
        """Prepares the sequence.

        Args:
            seed: Of the sequence: the same whenever the search goes on.
            independent_seed: Of what is left to chance.
            space: What is searched; without it the first trial decides, as in Optuna.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            super().__init__(
                qmc_type="sobol",
                scramble=True,
                seed=seed,
                independent_sampler=optuna.samplers.RandomSampler(seed=independent_seed),
                warn_independent_sampling=False,
            )
        self._always = None if space is None else always_asked(space)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The dimensions of the sequence."""
        if self._always is None:
            return super().infer_relative_search_space(study, trial)
        return self._always
