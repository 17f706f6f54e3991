"""A running mean of weights, which jumps less from step to step than they do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

_PREFIX = "average/"


class WeightAverage:
    """A network whose weights are the exponential moving average of another one's.

    Averages of the weights that stochastic gradient descent passes through are nearer to the
    minimum than its last ones (Polyak and Juditsky 1992, SIAM J. Control Optim. 30). What a
    normalization has measured is averaged with them.

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
        self.begin()

    def begin(self) -> None:
        """Takes the network's weights as they are."""
        for mean, weight in self._pairs:
            mean.assign(weight)

    def update(self, steps: int) -> None:
        """Takes the weights of a step in, of which there were so many before it."""
        # The random weights at the beginning are soon forgotten.
        momentum = min(self._momentum, (1 + steps) / (10 + steps))
        for mean, weight in self._pairs:
            mean.assign(mean + (1 - momentum) * (weight - mean))

    @property
    def variables(self) -> dict[str, Any]:
        """The means as a state knows them, by the paths of the weights."""
        return {f"{_PREFIX}{mean.path}": mean for mean, _ in self._pairs}


def best_weight(state: Mapping[str, Any], path: str) -> Any:
    """The weight that predictions are made with, of a session's state: its mean, if it has one."""
    return state.get(f"{_PREFIX}{path}", state.get(f"model/{path}"))
