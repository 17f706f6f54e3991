"""What is done to probabilities after the network, tuned without training anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from trainer.median import median_along_z
from trainer.metrics import PooledHistogram, Scores
from trainer.model import Model
from trainer.volume import Volume

_WINDOWS = (1, 3, 5, 7, 9)


def tune(model: Model, volume: Volume, sections: range) -> tuple[Model, Scores]:
    """Chooses the median along z and the threshold that give the highest Dice.

    Args:
        model: Its own settings do not matter.
        volume: With the mask to judge by.
        sections: A block that the model has not been trained on.

    Returns:
        The model with the best settings, and its scores there.
    """
    raw, mask = (part[sections.start : sections.stop] for part in (volume.raw, volume.mask))
    probability = replace(model, z_median=1).predict(raw)
    judged = [(_judge(probability, mask, window), window) for window in _windows(len(raw))]
    # Of equals the narrower window: it says less of its own.
    scores, window = max(judged, key=lambda pair: (pair[0].dice, -pair[1]))
    return replace(model, z_median=window, threshold=scores.threshold), scores


def _judge(probability: np.ndarray, mask: np.ndarray, window: int) -> Scores:
    histogram = PooledHistogram()
    for section, truth in zip(median_along_z(probability, window), mask, strict=True):
        histogram.add(section, truth)
    return histogram.best()


def _windows(sections: int) -> Iterator[int]:
    return (window for window in _WINDOWS if window <= sections)
