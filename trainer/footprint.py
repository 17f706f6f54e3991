"""How much memory the training of a network will take, before it is built."""

from __future__ import annotations

import math

from trainer.errors import TooLarge
from trainer.hyperparameters import Hyperparameters

_GB = 1e9
_WEIGHT_BYTES = 16
"""A weight, its gradient and the optimizer's two means, float32."""
_AVERAGE_BYTES = 4
"""A weight's moving average, float32."""
_LARGEST_AT_ONCE = 2
"""Gradients of the largest feature maps that stand beside what is kept for them."""


def count_weights(hyperparameters: Hyperparameters) -> int:
    """Weights of the convolutions, which nearly all are."""
    hp = hyperparameters
    side, repeats = hp.convolutions
    *levels, centre = filters = hp.level_filters
    folded = hp.stem_stride > 1
    before = (filters[0] if folded else hp.input_channels, *filters)
    sizes = [math.prod(hp.kernel_shape(level, side)) for level in range(len(filters))]
    down = sum(
        size * (a * b + (repeats - 1) * b * b)
        for size, a, b in zip(sizes, before, filters, strict=False)
    )
    # On the way up: twice the resolution, then a level that begins with both halves.
    below = (*levels[1:], centre)
    up = sum(
        _enlarging_size(hp, level) * a * b + size * (2 * a * a + (repeats - 1) * a * a)
        for level, (size, a, b) in enumerate(zip(sizes, levels, below, strict=False))
    )
    stem = math.prod(hp.stem) * (hp.input_channels + 1) * filters[0] if folded else 0
    return stem + down + up


def _enlarging_size(hyperparameters: Hyperparameters, level: int) -> int:
    """Voxels of the kernel that a level on the way up begins with."""
    hp = hyperparameters
    transpose = hp.upsampling == "transpose"
    return math.prod(hp.pooling[level] if transpose else hp.kernel_shape(level, 3))


def estimate_training_bytes(hyperparameters: Hyperparameters, precision: str) -> int:
    """What a training step needs beside the framework itself, from below.

    It counts weights, optimizer and the feature maps that are kept for the gradients: what each
    convolution, normalization, activation and dropout of a level puts out. A network that needs
    more than there is by this count cannot be trained.

    Args:
        hyperparameters: Of the run.
        precision: The Keras dtype policy.
    """
    hp = hyperparameters
    wide = 4 if precision == "float32" else 2
    maps = [_kept_maps(hp, level) for level in range(len(hp.level_filters))]
    coarser = [
        math.prod(map(math.prod, (hp.stem, *hp.pooling[:level]))) for level in range(len(maps))
    ]
    voxels = [hp.batch_size * math.prod(hp.tile_shape) // each for each in coarser]
    kept = sum(count * voxel for count, voxel in zip(maps, voxels, strict=True))
    passing = _LARGEST_AT_ONCE * hp.level_filters[0] * voxels[0]
    of_a_weight = _WEIGHT_BYTES + _AVERAGE_BYTES * (hp.ema_momentum > 0)
    return of_a_weight * count_weights(hp) + wide * (kept + passing)


def check_footprint(hyperparameters: Hyperparameters, precision: str, room: int) -> None:
    """Refuses a run that cannot be trained in so many bytes, before anything is built.

    Raises:
        TooLarge: It needs more.
    """
    needed = estimate_training_bytes(hyperparameters, precision)
    if needed > room:
        raise TooLarge(
            f"a step needs at least {needed / _GB:.2f} GB and {room / _GB:.2f} GB are all; "
            "a smaller batch, tile or network needs less"
        )


def _kept_maps(hyperparameters: Hyperparameters, level: int) -> int:
    """Features of a level that are kept, on the way down and up together."""
    hp = hyperparameters
    filters = hp.level_filters[level]
    _, repeats = hp.convolutions
    a_convolution = 2 + (hp.normalization != "none")
    a_pass = repeats * a_convolution + (hp.dropout > 0) + (hp.block == "residual")
    if level == len(hp.level_filters) - 1:
        return a_pass * filters
    # The upsampled features and the pair of them with the bridge.
    return (2 * a_pass + 3) * filters
