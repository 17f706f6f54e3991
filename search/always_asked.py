"""The dimensions that every run of a space has: what models of a fixed number of them can take."""

from __future__ import annotations

import itertools

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search.grid import grid_values
from search.space import Dimension, Space
from trainer.conditions import CONDITIONS, matters
from trainer.hyperparameters import Hyperparameters


def always_asked(space: Space) -> dict[str, BaseDistribution]:
    """What a sampler draws from for each dimension that no other one can make meaningless.

    Samplers that model a fixed number of dimensions leave the others to chance. What Optuna's
    take for them are those that all trials so far have had, which changes as trials come.
    """
    return {each.name: distribution(each) for each in space.dimensions if _always(each, space)}


def distribution(dimension: Dimension) -> BaseDistribution:
    """The dimension as Optuna's samplers know it."""
    low, high, log = dimension.low, dimension.high, dimension.log
    if low is None or high is None:
        return CategoricalDistribution(dimension.choices)
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log, step=int(dimension.step or 1))
    return FloatDistribution(low, high, log=log, step=dimension.step)


def _always(dimension: Dimension, space: Space) -> bool:
    deciding = CONDITIONS.get(dimension.name, {})
    drawn = {each.name: grid_values(each) for each in space.dimensions if each.name in deciding}
    values = [drawn.get(n, [space.fixed.get(n, getattr(Hyperparameters, n))]) for n in deciding]
    return all(
        matters(dimension.name, dict(zip(deciding, combination, strict=True)))
        for combination in itertools.product(*values)
    )
