"""What is done to probabilities after the network, tuned without training anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trainer.intensity import Intensity
from trainer.median import median_along_z
from trainer.metrics import PooledHistogram, Scores
from trainer.model import Model
from trainer.small_objects import choose_smallest_object, drop_small_objects
from trainer.views import VIEWS
from trainer.volume import Volume
from trainer.windows import Windows

_MEDIANS = (1, 3, 5, 7, 9, 11, 13, 15)
_OVERLAPS = (0.25, 0.5)
_WORTH_EIGHT_TIMES = 0.002  # of Dice: less is not worth eight times the prediction
_WORTH_FOUR_TIMES = 0.001  # of Dice, likewise: what windows that overlap by half cost
_WORTH_A_STEP = 0.001  # of Dice: less may be the luck of these sections alone


@dataclass(frozen=True)
class _Tried:
    views: int
    median: int
    smallest: int
    scores: Scores
    judged: _Judged

    @property
    def merit(self) -> tuple[float, int]:
        # Of equals the shorter median: it says less of its own.
        steps = (self.median > 1) + (self.smallest > 0)
        price = _WORTH_EIGHT_TIMES * (self.views > 1) + _WORTH_A_STEP * steps
        return self.scores.dice - price, -self.median


@dataclass(frozen=True, eq=False)
class Judge:
    """A model with sections to judge its kind by.

    Attributes:
        model: Its own settings do not matter.
        volume: With the mask to judge by.
        sections: A block of it that the model has not been trained on.
        name: Of the volume.
    """

    model: Model
    volume: Volume
    sections: range
    name: str = ""

    @property
    def truth(self) -> np.ndarray:
        """Where the sections have foreground, bool (z, y, x)."""
        truth: np.ndarray = self.volume.mask[self.sections.start : self.sections.stop] != 0
        return truth

    def predict(self, views: int, windows: Windows | None = None) -> np.ndarray:
        """Probabilities of the sections, uint8 (z, y, x), without a median."""
        block = self.volume.raw[self.sections.start : self.sections.stop]
        # Gray values are scaled as they will be when a whole volume is predicted.
        intensity = Intensity.measure(self.volume.raw)
        model = replace(self.model, views=views, z_median=1, windows=windows)
        return model.predict(block, intensity)


@dataclass(frozen=True)
class Tuned:
    """What tuning has chosen.

    Attributes:
        model: With the best settings.
        scores: Of all judges together.
        by_volume: Of those of each volume, at the same settings.
    """

    model: Model
    scores: Scores
    by_volume: Mapping[str, Scores]


def tune(model: Model, judges: Sequence[Judge], *, threshold: float | None = None) -> Tuned:
    """Chooses windows, views, median along z, threshold and smallest object by their Dice.

    A step is taken only where it is worth more than it costs and than chance may give.

    Args:
        model: To choose for.
        judges: It or models of its kind: what is chosen is the best for all of them together.
        threshold: Given where it is not to be chosen.
    """
    truths = [judge.truth for judge in judges]
    names = [judge.name for judge in judges]

    def judged(views: int, windows: Windows | None) -> list[_Tried]:
        probabilities = [judge.predict(views, windows) for judge in judges]
        return _try_medians(views, probabilities, truths, names, threshold)

    # How a section is divided is chosen for one view: for eight it would cost eight times as much.
    by_windows = {windows: judged(1, windows) for windows in _list_windows(judges)}
    windows = max(by_windows, key=lambda each: _best(by_windows[each]).merit[0] - _price(each))
    best = _best(by_windows[windows] + [t for views in VIEWS[1:] for t in judged(views, windows)])
    tuned = replace(
        model,
        windows=windows,
        views=best.views,
        z_median=best.median,
        threshold=best.scores.threshold,
        smallest_object_voxels=best.smallest,
    )
    return Tuned(tuned, best.scores, best.judged.by_volume(best.scores.threshold))


def _list_windows(judges: Sequence[Judge]) -> list[Windows | None]:
    """Whole sections, and windows of the tiles' size where all sections are larger."""
    side = max(each.tile_size for judge in judges for each in judge.model.networks)
    if side >= min(min(judge.volume.raw.shape[1:]) for judge in judges):
        return [None]
    return [None, *(Windows(side, overlap) for overlap in _OVERLAPS)]


def _price(windows: Windows | None) -> float:
    """What windows have to be better by: how often they see a voxel, and a step."""
    if windows is None:
        return 0.0
    times = 1 / (1 - windows.overlap) ** 2
    return _WORTH_FOUR_TIMES * (times - 1) / 3 + _WORTH_A_STEP


def _best(tried: Sequence[_Tried]) -> _Tried:
    return max(tried, key=lambda each: each.merit)


class _Judged:
    """What was predicted for the sections of all judges."""

    def __init__(
        self,
        probabilities: Sequence[np.ndarray],
        truths: Sequence[np.ndarray],
        names: Sequence[str],
    ) -> None:
        self._histograms: dict[str, PooledHistogram] = {}
        for probability, truth, name in zip(probabilities, truths, names, strict=True):
            histogram = self._histograms.setdefault(name, PooledHistogram())
            for section, true in zip(probability, truth, strict=True):
                histogram.add(section, true)

    def scores(self, threshold: float | None) -> Scores:
        pooled = sum(self._histograms.values(), PooledHistogram())
        return pooled.best() if threshold is None else pooled.scores(threshold)

    def by_volume(self, threshold: float) -> dict[str, Scores]:
        return {name: own.scores(threshold) for name, own in self._histograms.items()}


def _try_medians(
    views: int,
    probabilities: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    names: Sequence[str],
    threshold: float | None,
) -> list[_Tried]:
    """Every median along z, and the best of them without its small objects as well."""
    shortest = min(map(len, probabilities))
    tried = []
    for median in _MEDIANS:
        if median <= max(1, shortest):
            judged = _Judged(_smooth(probabilities, median), truths, names)
            tried.append(_Tried(views, median, 0, judged.scores(threshold), judged))
    best = _best(tried)
    return [*tried, *_try_smallest(best, _smooth(probabilities, best.median), truths, names)]


def _try_smallest(
    best: _Tried,
    probabilities: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    names: Sequence[str],
) -> Iterator[_Tried]:
    threshold = best.scores.threshold
    level = round(threshold * 255)
    smallest = choose_smallest_object([each >= level for each in probabilities], truths)
    if smallest:
        kept = [drop_small_objects(each, level, smallest) for each in probabilities]
        judged = _Judged(kept, truths, names)
        yield replace(best, smallest=smallest, scores=judged.scores(threshold), judged=judged)


def _smooth(probabilities: Sequence[np.ndarray], median: int) -> list[np.ndarray]:
    return [median_along_z(probability, median) for probability in probabilities]
