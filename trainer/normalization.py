"""Normalization layers by name, batch normalization fused where TensorFlow can."""

from __future__ import annotations

from typing import Any

import keras

_GROUP_SIZE = 8
# A session measures them anew before it predicts (`BatchStatistics`). Whoever trains a model on
# without one is served better than by Keras's 0.99, which some dozen steps leave as it was born.
_MOMENTUM = 0.9


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Batch normalization in one operation of TensorFlow instead of a dozen.

    The variables are those of `keras.layers.BatchNormalization`, so that weights move between the
    two. Keras's own layer is not fused on TensorFlow, and takes half of a training step on a CPU.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalizes each channel; inputs are (example, y, x, channel) or with z before y."""
        import tensorflow as tf

        training = bool(training) and self.trainable
        output, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=tf.zeros((0,)) if training else tf.convert_to_tensor(self.moving_mean),
            variance=tf.zeros((0,)) if training else tf.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            data_format="NDHWC" if len(inputs.shape) == 5 else "NHWC",
            is_training=training,
        )
        if training:
            self._follow(self.moving_mean, mean)
            # TensorFlow divides this variance by n - 1, Keras's layer by n.
            count = tf.reduce_prod(tf.cast(tf.shape(inputs)[:-1], variance.dtype))
            self._follow(self.moving_variance, variance * (count - 1.0) / count)
        return output

    def _follow(self, moving: Any, value: Any) -> None:
        moving.assign(moving * self.momentum + value * (1.0 - self.momentum))


def build_normalization(kind: str, filters: int, *, dtype: Any, stock: bool, name: str) -> Any:
    """Builds the layer that `kind` names, or None for `none`.

    Args:
        kind: `batch`, `layer` (Ba et al. 2016, arXiv 1607.06450: per example, over voxels and
            features, each with a scale of its own), `group` (Wu and He 2018, arXiv 1803.08494)
            or `none`.
        filters: Channels of the layer's input.
        dtype: Keras dtype policy.
        stock: Only layers that Keras itself can load.
        name: Of the layer.
    """
    if kind == "none":
        return None
    if kind == "layer":
        # One group of all features: unlike Keras's layer of that name it takes images of any size.
        return keras.layers.GroupNormalization(1, dtype=dtype, name=name)
    if kind == "group":
        groups = max(1, filters // _GROUP_SIZE)
        groups = groups if filters % groups == 0 else 1
        return keras.layers.GroupNormalization(groups, dtype=dtype, name=name)
    fused = not stock and keras.backend.backend() == "tensorflow"
    layer = FusedBatchNormalization if fused else keras.layers.BatchNormalization
    return layer(momentum=_MOMENTUM, dtype=dtype, name=name)
