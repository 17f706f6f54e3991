"""A volume as a training run uses it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.intensity import Intensity
from trainer.volume import Volume


@dataclass(frozen=True, eq=False)
class TrainingVolume:
    """A volume with the sections to train on and the sections to validate on.

    Attributes:
        volume: Image and mask.
        train: Sections to draw tiles from.
        validation: Sections that the run is scored on after each epoch.
        intensity: How the network sees its grey values.
        name: Tells it from the others of a run.
    """

    volume: Volume
    train: Sequence[int]
    validation: Sequence[int]
    intensity: Intensity
    name: str = ""

    @classmethod
    def measure(
        cls, volume: Volume, train: Sequence[int], validation: Sequence[int], name: str = ""
    ) -> TrainingVolume:
        """Takes the intensities from the training sections.

        From these alone: a held-out section has no part even in the scale.
        """
        intensity = Intensity.measure(volume.raw[train[0] : train[-1] + 1])
        return cls(volume, train, validation, intensity, name)

    @property
    def training_voxels(self) -> int:
        """Voxels of the sections to draw tiles from."""
        return len(self.train) * math.prod(self.volume.raw.shape[1:])
