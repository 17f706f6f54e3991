"""What a network's levels answer to a section, and what of it counts for a region.

The one room of the explanations that needs a framework: gradients are TensorFlow's.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trainer.errors import InputError

_LAST_LAYER = re.compile(r"(?P<level>(?:down|up)_\d+|centre)_act_(?P<index>\d+)")
_LOGITS = "logits"
# Of what all layers put out: it and its gradient are there at once (1.5 to 1.9 were measured).
_TIMES_OUTPUTS = 2


@dataclass(frozen=True, eq=False)
class LevelResponse:
    """What comes out of one level.

    Attributes:
        name: `down_0` and so on, `centre`, `up_0` and so on.
        response: Of each filter, float32 (y, x, filter), in cells of the level's own resolution.
        gradient: Of the region's logits, summed, by each of these responses; the same shape.
        factor: Voxels of the section along the side of a cell.
    """

    name: str
    response: np.ndarray
    gradient: np.ndarray
    factor: int

    def within(self, size: tuple[int, int]) -> LevelResponse:
        """Without the cells whose middle lies outside a section of this size: it was mirrored."""
        rows, columns = (max(1, -(-(side - self.factor // 2) // self.factor)) for side in size)
        return replace(
            self,
            response=self.response[:rows, :columns],
            gradient=self.gradient[:rows, :columns],
        )

    @property
    def activation_map(self) -> np.ndarray:
        """Seg-Grad-CAM (Vinogradova et al. 2020, arXiv 2002.11434), float32 (y, x).

        Each filter is weighted by the mean of its gradient over the whole section (the paper's
        equation 1, with the logits summed over the region); of the sum what is positive is kept.
        """
        weights = self.gradient.mean(axis=(0, 1))
        weighted: np.ndarray = np.maximum(self.response @ weights, 0)
        return weighted


@dataclass(frozen=True, eq=False)
class NetworkResponse:
    """What a network answers to one section.

    Attributes:
        levels: In the order in which the section passes through them.
        logits: float32 (y, x).
    """

    levels: list[LevelResponse]
    logits: np.ndarray


def respond(network: Any, image: np.ndarray, region: tuple[slice, slice]) -> NetworkResponse:
    """Runs a section through the network and the region's logits back through its levels.

    Args:
        network: A 2D U-Net as `trainer.unet` names its layers.
        image: float32 (1, y, x, section), its sides multiples of the network's halvings.
        region: The part whose logits are explained.

    Raises:
        InputError: The network is of another kind, or the backend is not TensorFlow.
    """
    import keras

    _check_backend(keras.backend.backend())
    import tensorflow as tf

    names = _level_layers(network)
    outputs = [network.get_layer(layer).output for layer in (*names.values(), _LOGITS)]
    model = keras.Model(network.inputs, outputs)
    with tf.GradientTape() as tape:
        shown = tf.convert_to_tensor(image)
        tape.watch(shown)
        *responses, logits = model(shown, training=False)
        score = tf.reduce_sum(logits[0, region[0], region[1], 0])
    gradients = tape.gradient(score, responses, unconnected_gradients="zero")
    levels = [
        LevelResponse(
            name, response.numpy()[0], gradient.numpy()[0], image.shape[1] // response.shape[1]
        )
        for name, response, gradient in zip(names, responses, gradients, strict=True)
    ]
    return NetworkResponse(levels, logits.numpy()[0, ..., 0])


def count_bytes(network: Any, height: int, width: int) -> int:
    """The memory that `respond` takes for an image, which grows with its voxels.

    Args:
        network: A 2D U-Net as `trainer.unet` names its layers.
        height: Of the image, a multiple of the network's halvings.
        width: The same.

    Raises:
        InputError: The network is of another kind.
    """
    import keras

    _level_layers(network)
    outputs = keras.Model(network.inputs, [layer.output for layer in network.layers])
    shapes = outputs.compute_output_shape((1, height, width, network.input_shape[-1]))
    return _TIMES_OUTPUTS * 4 * sum(map(math.prod, shapes))  # float32


def _level_layers(network: Any) -> dict[str, str]:
    """The last activation of each level, by the level's name."""
    found: dict[str, str] = {}
    for layer in getattr(network, "layers", ()):
        match = _LAST_LAYER.fullmatch(layer.name)
        # Later ones of the same level take the place of earlier ones.
        if match and len(layer.output.shape) == 4:
            found[match["level"]] = layer.name
    if not found or not any(layer.name == _LOGITS for layer in network.layers):
        raise InputError("expected a single 2D U-Net to explain, got a network of another kind")
    return found


def _check_backend(backend: str) -> None:
    if backend != "tensorflow":
        raise InputError(
            f"expected TensorFlow, whose gradients explain a network, got the backend {backend}; "
            "unset KERAS_BACKEND"
        )
