"""A network that needs no training, and a volume for it to predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from trainer.formats import open_source
from trainer.hyperparameters import Hyperparameters
from trainer.model import Model
from trainer.segmentation import SegmentationOptions, segment_file

SIZE = (20.0, 4.0, 5.0)


class Brightness:
    """A network that takes the mean of its sections for the probability."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.sections, self.fails_at = 0, fails_at

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        self.sections += len(images)
        if self.fails_at is not None and self.sections > self.fails_at:
            raise KeyboardInterrupt
        return np.clip(images.mean(axis=-1, keepdims=True), 0, 1)


def model(network: Any = None, channels: int = 3, **values: Any) -> Model:
    hp = Hyperparameters(depth=1, filters=2, tile_size=16, section_channels=channels)
    card = {"sha256": "abc", "data": {"voxel_size_nm": list(SIZE)}}
    return Model(network or Brightness(), hp, 0.5, card, **{"z_median": 3, **values})


def volume(*shape: int) -> np.ndarray:
    """Blobs on a ground that is darker."""
    noise = np.random.default_rng(0).normal(0, 1, shape)
    places = np.indices(shape)
    waves = sum(np.sin(places[axis] / 2.5) for axis in range(len(shape)))
    return np.clip(120 + 40 * waves + 6 * noise, 0, 255).astype(np.uint8)


def segment(raw: Path, output: Path, **options: Any) -> dict[str, Any]:
    return segment_file(Path("model"), raw, output, SegmentationOptions(**options))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read(path: Path) -> np.ndarray:
    with open_source(path) as source:
        return source.load()
