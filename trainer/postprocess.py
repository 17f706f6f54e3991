"""What is done to probabilities after the network, tuned without training anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from trainer.median import median_along_z
from trainer.metrics import PooledHistogram, Scores
from trainer.model import Model
from trainer.views import VIEWS
from trainer.volume import Volume

_WINDOWS = (1, 3, 5, 7, 9, 11, 13, 15)
_WORTH_EIGHT_TIMES = 0.002  # of Dice: less is not worth eight times the prediction


@dataclass(frozen=True)
class _Tried:
    views: int
    window: int
    scores: Scores

    @property
    def merit(self) -> tuple[float, int]:
        # Of equals the narrower window: it says less of its own.
        price = _WORTH_EIGHT_TIMES if self.views > 1 else 0.0
        return self.scores.dice - price, -self.window


def tune(
    model: Model, volume: Volume, sections: range, *, threshold: float | None = None
) -> tuple[Model, Scores]:
    """Chooses the views, the median along z and the threshold that give the highest Dice.

    Args:
        model: Its own settings do not matter.
        volume: With the mask to judge by.
        sections: A block that the model has not been trained on.
        threshold: Given where it is not to be chosen.

    Returns:
        The model with the best settings, and its scores there.
    """
    raw, mask = (part[sections.start : sections.stop] for part in (volume.raw, volume.mask))
    best = max(_try_all(model, raw, mask, threshold), key=lambda tried: tried.merit)
    scores = best.scores
    tuned = replace(model, views=best.views, z_median=best.window, threshold=scores.threshold)
    return tuned, scores


def _try_all(
    model: Model, raw: np.ndarray, mask: np.ndarray, threshold: float | None
) -> Iterator[_Tried]:
    for views in VIEWS:
        probability = replace(model, views=views, z_median=1).predict(raw)
        for window in _WINDOWS:
            if window <= len(raw):
                smoothed = median_along_z(probability, window)
                yield _Tried(views, window, _judge(smoothed, mask, threshold))


def _judge(probability: np.ndarray, mask: np.ndarray, threshold: float | None) -> Scores:
    histogram = PooledHistogram()
    for section, truth in zip(probability, mask, strict=True):
        histogram.add(section, truth)
    return histogram.best() if threshold is None else histogram.scores(threshold)
