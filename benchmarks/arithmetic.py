"""What a training step of a network asks a device to compute."""

from __future__ import annotations

import math

import keras

_BACKWARD = 2
"""A convolution's gradients, of its input and of its weights, cost as much as itself each."""


def count_training_operations(network: keras.Model, depth: int, tile_size: int) -> int:
    """Multiplications and additions that one tile costs in the convolutions of a 2D U-Net.

    Args:
        network: As `trainer.unet.build_unet` names its layers.
        depth: Halvings between the first level and the centre.
        tile_size: Side of a tile, in voxels.
    """
    forward = 0
    for layer in network.layers:
        if not isinstance(layer, keras.layers.Conv2D | keras.layers.Conv2DTranspose):
            continue
        weights = math.prod(layer.kernel.shape)
        if isinstance(layer, keras.layers.Conv2DTranspose):
            # Its windows do not overlap: each voxel of the result comes from one place.
            weights //= math.prod(layer.kernel_size)
        side = tile_size >> _level(layer.name, depth)
        forward += 2 * weights * side * side
    return forward * (1 + _BACKWARD)


def _level(name: str, depth: int) -> int:
    where, _, rest = name.partition("_")
    if where in ("down", "up"):
        return int(rest.partition("_")[0])
    return depth if where == "centre" else 0
