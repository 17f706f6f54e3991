"""A running mean of weights, which jumps less from step to step than they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

_PREFIX = "average/"


class WeightAverage:
    """A network whose weights are the exponential moving average of another one's.

    Averages of the weights that stochastic gradient descent passes through are nearer to the
    minimum than its last ones (Polyak and Juditsky 1992, SIAM J. Control Optim. 30). The moving
    statistics of batch normalization are averaged with them, for whoever does not measure those of
    the averaged weights (`BatchStatistics`).

    Attributes:
        network: That predicts with the means.
    """

    def __init__(self, network: keras.Model, copy: keras.Model, momentum: float) -> None:
        """Begins with the network's weights as they are.

        Args:
            network: In training.
            copy: Another network of the same layers, which becomes the averages' own.
            momentum: Share of the mean that a step leaves as it was.
        """
        self.network = copy
        self._pairs = list(zip(copy.weights, network.weights, strict=True))
        self._momentum = momentum
        self._move = _compiled(self._pairs)
        self.begin()

    def begin(self) -> None:
        """Takes the network's weights as they are."""
        for mean, weight in self._pairs:
            # A copy: JAX would share the array, and gives the network's up with every step.
            mean.assign(np.asarray(weight).copy())

    def update(self, steps: int) -> None:
        """Takes the weights of a step in, of which there were so many before it."""
        # The random weights at the beginning are soon forgotten.
        momentum = min(self._momentum, (1 + steps) / (10 + steps))
        self._move(np.float32(1 - momentum))

    @property
    def variables(self) -> dict[str, Any]:
        """The means as a state knows them, by the paths of the weights."""
        return {f"{_PREFIX}{mean.path}": mean for mean, _ in self._pairs}


def best_weight(state: Mapping[str, Any], path: str) -> Any:
    """The weight that predictions are made with, of a session's state: its mean, if it has one."""
    mean = f"{_PREFIX}{path}"
    return state[mean] if mean in state else state[f"model/{path}"]


def _compiled(pairs: Sequence[tuple[Any, Any]]) -> Callable[[np.float32], None]:
    """Moves every mean by a share of its way to the weight."""
    import keras

    def move(share: Any) -> None:
        for mean, weight in pairs:
            mean.assign(mean + share * (weight - mean))

    if keras.backend.backend() != "tensorflow":
        return move
    import tensorflow as tf

    # One call in place of some hundred, each of which costs more than what it computes.
    compiled = tf.function(move, autograph=False)
    return lambda share: compiled(tf.constant(share))
