"""Learning curves without learning: what a trial's epochs would score, and how long they take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from search.draws import draw_normal, draw_uniform
from search.space import Dimension, Space
from trainer.hyperparameters import Hyperparameters

# Of Dice: the best network of a space, and one with everything as wrong as it can be.
_BEST, _WORST = 0.94, 0.05
_STEEPNESS = 2.5
# Each dimension matters so much less than the one that matters next more.
_DECLINE = 0.6
_INTERACTION = 0.9
_WORST_CHOICE = 0.6
# While the learning rate is high, scores jump; as it falls they settle.
_EARLY_NOISE, _LATE_NOISE = 0.04, 0.004
_COLLAPSED = 0.05
_FILTERS_EXPONENT = 1.5


@dataclass(frozen=True)
class Curve:
    """A trial's epochs, from the first to the last of the full budget.

    Attributes:
        values: The objective after each.
        epoch_seconds: What each takes.
    """

    values: Sequence[float]
    epoch_seconds: Sequence[float]


class Curves(Protocol):
    """Knows what would become of any U-Net run."""

    def curve(self, hyperparameters: Hyperparameters) -> Curve:
        """The same for the same run, whenever and however often it is asked for."""


class ParametricCurves:
    """Curves of a made-up task, with the traits of real ones that a search has to cope with.

    Few dimensions matter much, and neighbours among these interact. A curve rises towards its
    final Dice at a pace of its own, with noise that shrinks; some runs collapse. Larger networks
    take longer, and no epoch exactly as long as another.
    """

    def __init__(
        self,
        space: Space,
        *,
        epochs: int,
        epoch_seconds: float,
        seed: int,
        collapse_share: float = 0.05,
        noise: float = 1.0,
        spread: float = 0.05,
    ) -> None:
        """Makes up a task.

        Args:
            space: What the runs are drawn from.
            epochs: Of the full budget.
            epoch_seconds: Of a network from the middle of the space.
            seed: Of the task; another seed is another one.
            collapse_share: How many of all runs collapse.
            noise: Scales the noise of the values.
            spread: Of an epoch's seconds, relative to those that its network takes on average.
        """
        self._task = _Task(space.dimensions, seed)
        self._middle_cost = _cost(space.middle())
        self._epochs, self._epoch_seconds, self._seed = epochs, epoch_seconds, seed
        self._collapse_share, self._noise, self._spread = collapse_share, noise, spread

    def curve(self, hyperparameters: Hyperparameters) -> Curve:
        """The curve of a run, noise included."""
        key = (self._seed, self._task.key(hyperparameters))
        epochs = range(1, self._epochs + 1)
        final = self._task.final_dice(hyperparameters)
        pace = self._epochs * (0.1 + 0.3 * draw_uniform("pace", key))
        collapse = self._collapse(key)
        values = (
            _COLLAPSED if epoch >= collapse else final * _risen(epoch, self._epochs, pace)
            for epoch in epochs
        )
        noisy = (value + self._deviation(key, n) for n, value in enumerate(values, 1))
        mean = self._epoch_seconds * _cost(hyperparameters) / self._middle_cost
        seconds = (mean * self._pace(key, epoch) for epoch in epochs)
        return Curve(tuple(min(max(value, 0.0), 1.0) for value in noisy), tuple(seconds))

    def _collapse(self, key: object) -> float:
        """The epoch from which on the run says the same of every voxel."""
        if draw_uniform("collapses", key) >= self._collapse_share:
            return math.inf
        return 1 + math.floor(self._epochs * draw_uniform("collapse", key))

    def _deviation(self, key: object, epoch: int) -> float:
        left = 1 - epoch / self._epochs
        scale = _LATE_NOISE + (_EARLY_NOISE - _LATE_NOISE) * left
        return self._noise * scale * draw_normal("noise", key, epoch)

    def _pace(self, key: object, epoch: int) -> float:
        return math.exp(self._spread * draw_normal("seconds", key, epoch)) if self._spread else 1.0


class _Task:
    """The final Dice by the hyperparameters: a hill, skewed by what interacts."""

    def __init__(self, dimensions: Sequence[Dimension], seed: int) -> None:
        # In the order of how much they matter.
        self._dimensions = sorted(dimensions, key=lambda each: draw_uniform(seed, each.name))
        self._optimum = {
            each.name: 0.2 + 0.6 * draw_uniform(seed, "optimum", each.name) for each in dimensions
        }
        weights = [_DECLINE**rank for rank in range(len(dimensions))]
        self._weights = [weight / sum(weights) for weight in weights]
        # Two neighbours each at less than 1 leave the hill with one summit.
        self._interactions = [
            _INTERACTION * (2 * draw_uniform(seed, "interaction", one.name, other.name) - 1)
            for one, other in pairwise(self._dimensions)
        ]
        self._penalties = {each.name: _penalties(each, seed) for each in dimensions if each.choices}

    def key(self, hyperparameters: Hyperparameters) -> tuple[tuple[str, Any], ...]:
        """What tells a run of this space from the others."""
        return tuple((each.name, getattr(hyperparameters, each.name)) for each in self._dimensions)

    def final_dice(self, hyperparameters: Hyperparameters) -> float:
        """What the run would score in the end."""
        # Each dimension's distance from its optimum, as far as it matters.
        distances = [
            math.sqrt(weight) * self._distance(each, getattr(hyperparameters, each.name))
            for each, weight in zip(self._dimensions, self._weights, strict=True)
        ]
        loss = math.fsum(distance**2 for distance in distances) + math.fsum(
            strength * one * other
            for strength, (one, other) in zip(self._interactions, pairwise(distances), strict=True)
        )
        return _WORST + (_BEST - _WORST) * math.exp(-_STEEPNESS * loss)

    def _distance(self, dimension: Dimension, value: Any) -> float:
        if dimension.choices:
            # A choice that does not matter in a run is not always one of the space.
            return self._penalties[dimension.name].get(value, 0.0)
        return position(dimension, value) - self._optimum[dimension.name]


def position(dimension: Dimension, value: float) -> float:
    """Where a value lies in its range, or at which end: from 0 to 1, on the dimension's own scale.

    Raises:
        ValueError: The dimension has choices, and no range.
    """
    if dimension.low is None or dimension.high is None:
        raise ValueError(f"{dimension.name}: expected a range, got choices")
    low, high = float(dimension.low), float(dimension.high)
    at = min(max(float(value), low), high)
    if dimension.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return (at - low) / (high - low)


def _penalties(dimension: Dimension, seed: int) -> dict[Any, float]:
    """What each choice costs; the best one nothing."""
    drawn = {
        choice: _WORST_CHOICE * draw_uniform(seed, "choice", dimension.name, choice)
        for choice in dimension.choices
    }
    best = min(drawn.values())
    return {choice: penalty - best for choice, penalty in drawn.items()}


def _risen(epoch: int, epochs: int, pace: float) -> float:
    """How much of its final value a curve has reached: all of it after the last epoch."""
    return math.expm1(-epoch / pace) / math.expm1(-epochs / pace)


def _cost(hyperparameters: Hyperparameters) -> float:
    """How much work a network is, in any unit.

    A 2D level below has twice the filters on a quarter of the voxels: as much work; in 3D half of
    it where sections are halved as well, with kernels three times as large. Twice the filters
    everywhere are four times the work, on hardware that they use better.
    """
    hp, work, share = hyperparameters, 0.0, hyperparameters.stem_stride**-2.0
    for level, factors in enumerate((*hp.pooling, (1, 1))):
        kernel = math.prod(hp.kernel_shape(level, 3)) / 9
        work += kernel * share
        share *= 4 / math.prod(factors)
    return float(work * hp.level_filters[0] ** _FILTERS_EXPONENT)
