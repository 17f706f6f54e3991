"""What is done to probabilities after the network, tuned without training anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trainer.median import median_along_z
from trainer.metrics import PooledHistogram, Scores
from trainer.model import Model
from trainer.small_objects import choose_smallest_object, drop_small_objects
from trainer.views import VIEWS
from trainer.volume import Volume

_WINDOWS = (1, 3, 5, 7, 9, 11, 13, 15)
_WORTH_EIGHT_TIMES = 0.002  # of Dice: less is not worth eight times the prediction
_WORTH_A_STEP = 0.001  # of Dice: less may be the luck of these sections alone


@dataclass(frozen=True)
class _Tried:
    views: int
    window: int
    smallest: int
    scores: Scores

    @property
    def merit(self) -> tuple[float, int]:
        # Of equals the narrower window: it says less of its own.
        steps = (self.window > 1) + (self.smallest > 0)
        price = _WORTH_EIGHT_TIMES * (self.views > 1) + _WORTH_A_STEP * steps
        return self.scores.dice - price, -self.window


def tune(
    model: Model,
    volume: Volume,
    sections: range,
    *,
    threshold: float | None = None,
    beside: Sequence[tuple[Model, range]] = (),
) -> tuple[Model, Scores]:
    """Chooses views, median along z, threshold and smallest object that give the highest Dice.

    A step is taken only where it is worth more than it costs and than chance may give.

    Args:
        model: Its own settings do not matter.
        volume: With the mask to judge by.
        sections: A block that the model has not been trained on.
        threshold: Given where it is not to be chosen.
        beside: Models of the same kind, each with a block that it has not been trained on: what
            is chosen is the best for all of them together.

    Returns:
        The model with the best settings, and the scores of all together.
    """
    judges = [(model, sections), *beside]
    truths = [volume.mask[block.start : block.stop] != 0 for _, block in judges]
    tried = [
        _try_windows(views, _predict(judges, volume, views), truths, threshold) for views in VIEWS
    ]
    best = max((each for some in tried for each in some), key=lambda each: each.merit)
    tuned = replace(
        model,
        views=best.views,
        z_median=best.window,
        threshold=best.scores.threshold,
        smallest_object_voxels=best.smallest,
    )
    return tuned, best.scores


def _predict(judges: Sequence[tuple[Model, range]], volume: Volume, views: int) -> list[np.ndarray]:
    return [
        replace(model, views=views, z_median=1).predict(volume.raw[block.start : block.stop])
        for model, block in judges
    ]


def _try_windows(
    views: int,
    probabilities: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    threshold: float | None,
) -> list[_Tried]:
    """Every median along z, and the best of them without its small objects as well."""
    shortest = min(map(len, probabilities))
    tried = [
        _Tried(views, window, 0, _judge(_smooth(probabilities, window), truths, threshold))
        for window in _WINDOWS
        if window <= max(1, shortest)
    ]
    best = max(tried, key=lambda each: each.merit)
    return [*tried, *_try_smallest(best, _smooth(probabilities, best.window), truths)]


def _try_smallest(
    best: _Tried, probabilities: Sequence[np.ndarray], truths: Sequence[np.ndarray]
) -> Iterator[_Tried]:
    threshold = best.scores.threshold
    level = round(threshold * 255)
    smallest = choose_smallest_object([each >= level for each in probabilities], truths)
    if smallest:
        kept = [drop_small_objects(each, level, smallest) for each in probabilities]
        yield replace(best, smallest=smallest, scores=_judge(kept, truths, threshold))


def _smooth(probabilities: Sequence[np.ndarray], window: int) -> list[np.ndarray]:
    return [median_along_z(probability, window) for probability in probabilities]


def _judge(
    probabilities: Sequence[np.ndarray], truths: Sequence[np.ndarray], threshold: float | None
) -> Scores:
    histogram = PooledHistogram()
    for probability, truth in zip(probabilities, truths, strict=True):
        for section, true in zip(probability, truth, strict=True):
            histogram.add(section, true)
    return histogram.best() if threshold is None else histogram.scores(threshold)
