"""What batch normalization predicts with, measured of the weights as an epoch has left them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from trainer.errors import Diverged

Moments = Sequence[tuple[Any, Any]]
"""The mean and the variance that each layer finds, (channel,) both."""


class BatchStatistics:
    """The moving means and variances of a network, and how to measure them anew.

    In training a layer normalizes by its batch, and keeps moving means for predictions. They come
    from the last steps, each with weights that are no longer the network's: while it learns fast,
    its score jumps for that alone. Measured over several batches with all weights at rest they are
    the network's own (Wu and Johnson 2021, arXiv 2105.07576, section 3). Dropout, of which there is
    none in predictions, has no part in it.
    """

    def __init__(self, network: keras.Model) -> None:
        """Measures nothing yet; a network without batch normalization has nothing to measure."""
        found = _find(network, keras.layers.BatchNormalization)
        # A frozen one predicts in training too.
        self._layers = [layer for layer in found if layer.trainable]
        self._dropouts = _find(network, keras.layers.Dropout)
        self._observe = _build_observer(network, self._layers)

    def measure(self, batches: Sequence[np.ndarray]) -> None:
        """Sets them to what the network finds in these batches.

        Args:
            batches: Inputs of the network as in training, one at least.

        Raises:
            Diverged: What a layer finds are no numbers.
        """
        if not self._layers:
            return
        with self._at_rest():
            found = [self._observe(batch) for batch in batches]
        for layer, moments in zip(self._layers, zip(*found, strict=True), strict=True):
            means, variances = (_stack(values) for values in zip(*moments, strict=True))
            if not (np.isfinite(means).all() and np.isfinite(variances).all()):
                raise Diverged(f"what the layer {layer.name} normalizes are no longer numbers")
            layer.moving_mean.assign(means.mean(0))
            # By how much all voxels differ: within their batches, and from batch to batch.
            layer.moving_variance.assign(variances.mean(0) + means.var(0))

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        """Layers take over what they find in one batch, and drop nothing."""
        for layer in self._layers:
            # What is no number would remain so, whatever it is multiplied by.
            layer.moving_mean.assign(np.zeros(layer.moving_mean.shape))
            layer.moving_variance.assign(np.ones(layer.moving_variance.shape))
        with _set(self._layers, "momentum", 0.0), _set(self._dropouts, "rate", 0.0):
            yield


def _find(network: keras.Model, kind: type[keras.layers.Layer]) -> list[Any]:
    return [layer for layer in network.layers if isinstance(layer, kind)]


def _stack(values: Sequence[Any]) -> np.ndarray:
    """In float64, where the square of no float32 is too large."""
    return np.stack([keras.ops.convert_to_numpy(value) for value in values]).astype(np.float64)


@contextmanager
def _set(layers: Sequence[Any], name: str, value: float) -> Iterator[None]:
    before = [getattr(layer, name) for layer in layers]
    try:
        for layer in layers:
            setattr(layer, name, value)
        yield
    finally:
        for layer, old in zip(layers, before, strict=True):
            setattr(layer, name, old)


def _build_observer(network: keras.Model, layers: Sequence[Any]) -> Callable[[np.ndarray], Moments]:
    """Sends a batch through as in training, in the framework that Keras runs on."""
    if keras.backend.backend() == "jax":
        return _build_jax_observer(network, layers)

    def observe(images: Any) -> Moments:
        network(images, training=True)
        copy = keras.ops.copy  # the next batch changes them in their place
        return [(copy(each.moving_mean), copy(each.moving_variance)) for each in layers]

    if keras.backend.backend() == "torch":
        import torch

        return torch.no_grad()(observe)  # type: ignore[no-any-return]
    import tensorflow as tf

    compiled = tf.function(observe, autograph=False)
    return lambda images: compiled(tf.convert_to_tensor(images))


def _build_jax_observer(
    network: keras.Model, layers: Sequence[Any]
) -> Callable[[np.ndarray], Moments]:
    import jax

    variables = network.trainable_variables, network.non_trainable_variables
    at = {id(variable): index for index, variable in enumerate(variables[1])}

    def observe(weights: Any, others: Any, images: Any) -> Moments:
        _, after = network.stateless_call(weights, others, images, training=True)
        return [
            (after[at[id(each.moving_mean)]], after[at[id(each.moving_variance)]])
            for each in layers
        ]

    compiled = jax.jit(observe)
    return lambda images: compiled(
        *([variable.value for variable in group] for group in variables), images
    )
