"""Samplers by the names that a config knows them under."""

from __future__ import annotations

from importlib.util import find_spec

import optuna

from search.bounded_tpe import BoundedTPESampler
from search.cma_sampler import CmaSampler
from search.gp_sampler import GaussianProcessSampler
from search.plan import PLANNED, Plan
from search.planned_sampler import PlannedSampler
from search.qmc_sampler import SobolSampler
from search.space import Space
from trainer.errors import InputError


def build_sampler(
    name: str,
    *,
    seed: int,
    begun: int = 0,
    space: Space | None = None,
    plan: Plan | None = None,
) -> optuna.samplers.BaseSampler:
    """Builds the sampler anew: a study that is loaded does not bring its own back.

    Args:
        name: `tpe` (multivariate, constant liar: Optuna's defaults, and grouped so that
            conditional dimensions are modelled together), `gp`, `cmaes`, `qmc`, `random`, or one
            that follows a plan.
        seed: The same seed and history give the same trials.
        begun: Trials that the study has: a search that goes on draws other values than at its
            start.
        space: What is searched; without it the sampler goes by what trials have had.
        plan: Of a sampler that follows one.

    Raises:
        InputError: The sampler needs a library that is not installed.
        ValueError: A sampler that follows a plan was given none.
    """
    fixed, seed = seed % 2**32, (seed + begun) % 2**32
    if name in PLANNED:
        if plan is None or space is None:
            raise ValueError(f"the sampler {name!r} follows a plan, and was given none")
        return PlannedSampler(plan, space)
    if name == "gp":
        _check_torch()
        return GaussianProcessSampler(seed=seed, space=space)
    if name == "cmaes":
        return CmaSampler(seed=seed, space=space)
    if name == "qmc":
        return SobolSampler(seed=fixed, independent_seed=seed, space=space)
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return BoundedTPESampler(seed=seed)


def is_exhausted(study: optuna.Study) -> bool:
    """Whether the study's sampler has nothing more to give, and nobody else waits for a trial."""
    sampler = study.sampler
    if not isinstance(sampler, PlannedSampler) or not sampler.exhausted(study):
        return False
    return not study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,))


def _check_torch() -> None:
    if find_spec("torch") is None:
        raise InputError(
            "study.sampler: expected torch for the sampler gp, found none; "
            "run `make install EXTRAS=gp`, or take tpe"
        )
