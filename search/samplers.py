"""Samplers by the names that a config knows them under."""

from __future__ import annotations

import optuna

from search.bounded_tpe import BoundedTPESampler

SAMPLERS = ("tpe", "random")


def build_sampler(name: str, *, seed: int) -> optuna.samplers.BaseSampler:
    """Builds the sampler anew: a study that is loaded does not bring its own back.

    Args:
        name: `tpe` (multivariate, constant liar: Optuna's defaults, and grouped so that
            conditional dimensions are modelled together) or `random`.
        seed: The same seed and history give the same trials.
    """
    seed %= 2**32
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return BoundedTPESampler(seed=seed)
