"""What the three sides of the training benchmark have in common."""

from __future__ import annotations

import os

from trainer.hyperparameters import Hyperparameters
from trainer.phantom import build_phantom
from trainer.tiles import TileSource
from trainer.training_volume import TrainingVolume
from trainer.volume import Volume

HYPERPARAMETERS = Hyperparameters(
    filters=16,
    depth=4,
    tile_size=256,
    batch_size=8,
    loss="bce_dice",
    elastic_probability=1.0,
    zoom=0.2,
    blur_probability=0.25,
    noise_probability=0.25,
)
"""The network of the published 2D results on EPFL's volume, with every augmentation."""

SECTIONS = range(24)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def build_volume() -> Volume:
    """Synthetic tissue with sections of 384 x 384."""
    return build_phantom(32, 384, 384, seed=1)


def build_tiles(volume: Volume) -> TileSource:
    """The tiles of the training session, for a side that has no session."""
    return TileSource([TrainingVolume.measure(volume, SECTIONS, ())], HYPERPARAMETERS, seed=0)
