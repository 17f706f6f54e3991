"""What a training run goes on from: arrays under names that every process gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.errors import InputError

if TYPE_CHECKING:
    import keras


def read_state(
    network: keras.Model, optimizer: keras.optimizers.Optimizer, also: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Weights, optimizer and random state of a network.

    Args:
        network: In training.
        optimizer: Of its weights.
        also: Further variables, by their names.
    """
    variables = _variables(network, optimizer) | dict(also)
    return {name: np.asarray(variable) for name, variable in variables.items()}


def write_state(
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    also: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Gives network, optimizer and the variables beside them a state that `read_state` took.

    Raises:
        InputError: The state belongs to another network, and all stays as it is.
    """
    variables = _variables(network, optimizer) | dict(also)
    _write(variables, arrays, "restore it with the hyperparameters that made it")


def write_weights(network: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Gives the network weights, and leaves its random state alone.

    Args:
        network: To train.
        arrays: By the paths of the weights.

    Raises:
        InputError: The weights belong to another network, and this one stays as it is.
    """
    weights = {weight.path: weight for weight in network.weights}
    _write(weights, arrays, "begin with a model of the same network")


def _write(variables: Mapping[str, Any], arrays: Mapping[str, np.ndarray], remedy: str) -> None:
    expected = {name: tuple(variable.shape) for name, variable in variables.items()}
    got = {name: array.shape for name, array in arrays.items()}
    for name in sorted(expected.keys() | got.keys()):
        if expected.get(name) != got.get(name):
            wanted, found = (shapes.get(name, "nothing") for shapes in (expected, got))
            raise InputError(
                f"{name}: expected the state of this network, {wanted}, got {found}; {remedy}"
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _variables(network: keras.Model, optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """Every variable that the rest of the run depends on, under a name of its own."""
    # Keras numbers the random states of dropout through the whole process, so that their own paths
    # differ from session to session: each goes by its layer's name.
    layers = {
        f"model/{layer.name}/{v.name}": v for layer in network.layers for v in layer.variables
    }
    return layers | {f"optimizer/{v.path}": v for v in optimizer.variables}
