"""The network: a U-Net (Ronneberger et al. 2015, arXiv 1505.04597) over sections or stacks."""

from __future__ import annotations

from typing import Any

import keras

from trainer.hyperparameters import Hyperparameters
from trainer.normalization import build_normalization


def build_unet(
    hyperparameters: Hyperparameters, *, precision: str = "float32", stock: bool = False
) -> keras.Model:
    """Builds the network from intensities (0 to 1 for most voxels) to logits.

    In 2D the input is (example, y, x, section) and the output (example, y, x, 1), in 3D both are
    (example, z, y, x, 1), with y and x any multiple of `hyperparameters.halvings` and z of
    `hyperparameters.section_halvings`. Every level on the way down ends in a max pooling by 2 (in
    3D: in the plane alone, where the sections are too coarse or too few), every level on the way
    up begins with that resolution again and the features of its counterpart (3D: Cicek et al.
    2016, arXiv 1606.06650). With a `stem_stride` above 1, squares of that many voxels become one
    before the first level and are told apart again after the last.

    Args:
        hyperparameters: What the network looks like.
        precision: `float32`, `mixed_bfloat16` or `mixed_float16`; weights are float32 in each.
        stock: Only layers that Keras itself can load, for a model that leaves this project.
    """
    return _Builder(hyperparameters, keras.DTypePolicy(precision), stock).build()


def with_probability(network: keras.Model) -> keras.Model:
    """The same layers with a sigmoid behind them: probabilities in float32."""
    probability = keras.layers.Activation("sigmoid", dtype="float32", name="probability")
    return keras.Model(network.inputs[0], probability(network.outputs[0]), name="unet")


class _Builder:
    """Adds the layers of one network, named after their level."""

    def __init__(self, hyperparameters: Hyperparameters, policy: Any, stock: bool) -> None:
        self._hp = hyperparameters
        self._policy = policy
        self._stock = stock
        dimensions = "3D" if hyperparameters.is_3d else "2D"
        self._convolution = getattr(keras.layers, f"Conv{dimensions}")
        self._transpose = getattr(keras.layers, f"Conv{dimensions}Transpose")
        self._pool = getattr(keras.layers, f"MaxPooling{dimensions}")
        self._repeat = getattr(keras.layers, f"UpSampling{dimensions}")

    def build(self) -> keras.Model:
        hp = self._hp
        axes = (None,) * len(hp.tile_shape)
        inputs = keras.Input((*axes, hp.input_channels), name="raw")
        # Centred, with a spread near 1, as the initializers of the convolutions expect.
        x = keras.layers.Rescaling(4.0, offset=-2.0, dtype="float32", name="centred")(inputs)
        x = self._folded(x)
        bridges = []
        *levels, centre = hp.level_filters
        for level, filters in enumerate(levels):
            x = self._level(x, level, filters, f"down_{level}")
            bridges.append(x)
            x = self._pool(hp.pooling[level], dtype=self._policy, name=f"down_{level}_pool")(x)
        x = self._level(x, len(levels), centre, "centre")
        for level in reversed(range(len(levels))):
            x = self._up(x, bridges[level], level, levels[level], f"up_{level}")
        logits = self._unfolded(x)
        if self._policy.compute_dtype != "float32":
            # Here and not before: as float32 all features of the first level are twice the memory.
            logits = keras.layers.Activation("linear", dtype="float32", name="float32")(logits)
        return keras.Model(inputs, logits, name="unet")

    def _folded(self, x: Any) -> Any:
        """A voxel for each square of them (the stem of Dosovitskiy et al., arXiv 2010.11929)."""
        stem, filters = self._hp.stem, self._hp.level_filters[0]
        if self._hp.stem_stride == 1:
            return x
        common = {"kernel_initializer": "he_normal", "dtype": self._policy}
        return self._convolution(filters, stem, strides=stem, name="stem", **common)(x)

    def _unfolded(self, x: Any) -> Any:
        """The logits: each voxel of a square has weights of its own (Shi et al. 1609.05158)."""
        if self._hp.stem_stride == 1:
            return self._convolution(1, 1, dtype=self._policy, name="logits")(x)
        stem = self._hp.stem
        return self._transpose(1, stem, strides=stem, dtype=self._policy, name="logits")(x)

    def _level(self, x: Any, level: int, filters: int, name: str) -> Any:
        side, repeats = self._hp.convolutions
        entry = x
        for index in range(repeats):
            x = self._convolution(
                filters,
                self._hp.kernel_shape(level, side),
                padding="same",
                kernel_initializer="he_normal",
                # A normalization takes the mean away, and a bias with it.
                use_bias=self._hp.normalization == "none",
                dtype=self._policy,
                name=f"{name}_conv_{index}",
            )(x)
            x = self._normalized(x, filters, f"{name}_norm_{index}")
            if index == repeats - 1 and self._hp.block == "residual":
                x = self._residual(entry, x, filters, name)
            x = keras.layers.Activation(
                self._hp.activation, dtype=self._policy, name=f"{name}_act_{index}"
            )(x)
            if index == 0 and self._hp.dropout > 0:
                x = keras.layers.Dropout(
                    self._hp.dropout, dtype=self._policy, name=f"{name}_dropout"
                )(x)
        return x

    def _residual(self, entry: Any, x: Any, filters: int, name: str) -> Any:
        """Adds what came in, before the last activation (He et al. 2016, arXiv 1512.03385)."""
        if entry.shape[-1] != filters:
            entry = self._pointwise(entry, filters, f"{name}_shortcut")
        return keras.layers.Add(dtype=self._policy, name=f"{name}_sum")([entry, x])

    def _pointwise(self, x: Any, filters: int, name: str) -> Any:
        return self._convolution(
            filters, 1, kernel_initializer="he_normal", dtype=self._policy, name=name
        )(x)

    def _enlarged(self, x: Any, level: int, filters: int, name: str) -> Any:
        """As many voxels as the level had before its pooling."""
        factors = self._hp.pooling[level]
        common = {"kernel_initializer": "he_normal", "dtype": self._policy}
        if self._hp.upsampling == "transpose":
            layer = self._transpose(
                filters, factors, strides=factors, name=f"{name}_transpose", **common
            )
            return layer(x)
        # Odena et al. 2016, "Deconvolution and checkerboard artifacts".
        x = self._repeat(factors, dtype=self._policy, name=f"{name}_resize")(x)
        shape = self._hp.kernel_shape(level, 3)
        return self._convolution(filters, shape, padding="same", name=f"{name}_smooth", **common)(x)

    def _gated(self, bridge: Any, x: Any, filters: int, name: str) -> Any:
        """Weighs each voxel of the bridge by what comes from below (arXiv 1804.03999)."""
        between = max(1, filters // 2)
        both = keras.layers.Add(dtype=self._policy, name=f"{name}_gate_sum")(
            [
                self._pointwise(bridge, between, f"{name}_gate_bridge"),
                self._pointwise(x, between, f"{name}_gate_below"),
            ]
        )
        both = keras.layers.Activation("relu", dtype=self._policy, name=f"{name}_gate_act")(both)
        weight = self._pointwise(both, 1, f"{name}_gate_logit")
        weight = keras.layers.Activation("sigmoid", dtype=self._policy, name=f"{name}_gate")(weight)
        return keras.layers.Multiply(dtype=self._policy, name=f"{name}_gated")([bridge, weight])

    def _up(self, x: Any, bridge: Any, level: int, filters: int, name: str) -> Any:
        x = self._enlarged(x, level, filters, name)
        if self._hp.gate == "attention":
            bridge = self._gated(bridge, x, filters, name)
        x = keras.layers.Concatenate(dtype=self._policy, name=f"{name}_bridge")([bridge, x])
        return self._level(x, level, filters, name)

    def _normalized(self, x: Any, filters: int, name: str) -> Any:
        layer = build_normalization(
            self._hp.normalization, filters, dtype=self._policy, stock=self._stock, name=name
        )
        return x if layer is None else layer(x)
