"""How well each section was segmented, and how much that varies along z."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.instances import Overlap, score_overlaps


@dataclass(frozen=True)
class SectionScore:
    """One section. A score is None where there is nothing that it could be a share of.

    Attributes:
        section: Its number in the volume, from 0.
        dice: None where neither the truth nor the prediction holds foreground.
        iou: The same.
        precision: None where nothing is predicted.
        recall: None where there is no foreground.
        true_voxels: Foreground of the truth.
        predicted_voxels: Foreground of the prediction.
        missed_voxels: Of the truth alone.
        false_voxels: Of the prediction alone.
        objects: Components of the truth.
        predicted_objects: Components of the prediction.
        found_objects: Of the truth, with a partner of IoU 0.5 or more.
    """

    section: int
    dice: float | None
    iou: float | None
    precision: float | None
    recall: float | None
    true_voxels: int
    predicted_voxels: int
    missed_voxels: int
    false_voxels: int
    objects: int
    predicted_objects: int
    found_objects: int

    @property
    def wrong_voxels(self) -> int:
        """Missed and false ones together."""
        return self.missed_voxels + self.false_voxels


def score_sections(
    truth: NDArray[Any], prediction: NDArray[Any], overlaps: Sequence[Overlap], first: int = 0
) -> list[SectionScore]:
    """Scores section by section.

    Args:
        truth: (z, y, x).
        prediction: The same.
        overlaps: Those of `measure_sections`.
        first: The number of the first section.
    """
    triples = zip(truth, prediction, overlaps, strict=True)
    return [_score(number, *triple) for number, triple in enumerate(triples, start=first)]


def summarize(scores: Sequence[SectionScore]) -> dict[str, Any]:
    """Mean and spread of the sections' Dice, of those that have one.

    Returns:
        `{count, with_dice, dice_mean, dice_std, dice_median, dice_min, dice_min_section, worst}`;
        the spread is the standard deviation over the sections (n in the denominator), `worst` as
        `worst_sections` gives them. Without any Dice the numbers are None.
    """
    measured = {score.section: score.dice for score in scores if score.dice is not None}
    dice = np.array(list(measured.values()))
    return {
        "count": len(scores),
        "with_dice": len(dice),
        "dice_mean": float(dice.mean()) if measured else None,
        "dice_std": float(dice.std()) if measured else None,
        "dice_median": float(np.median(dice)) if measured else None,
        "dice_min": float(dice.min()) if measured else None,
        "dice_min_section": min(measured, key=measured.__getitem__) if measured else None,
        "worst": worst_sections(scores),
    }


def worst_sections(scores: Sequence[SectionScore], count: int = 4) -> list[int]:
    """The numbers of the sections with the most voxels wrong, the worst first.

    They lie a sixteenth of the volume apart, since neighbours are almost copies. By their Dice the
    worst would be those with hardly any foreground.
    """
    apart = len(scores) // 16
    chosen: list[int] = []
    for score in sorted(scores, key=lambda score: (-score.wrong_voxels, score.section)):
        if len(chosen) < count and all(abs(score.section - near) >= apart for near in chosen):
            chosen.append(score.section)
    return chosen


def _score(
    number: int, truth: NDArray[Any], prediction: NDArray[Any], overlap: Overlap
) -> SectionScore:
    true, guess = truth != 0, prediction != 0
    hits, total, predicted = (int(np.count_nonzero(part)) for part in (true & guess, true, guess))
    objects = score_overlaps([overlap])
    return SectionScore(
        section=number,
        dice=_share(2 * hits, total + predicted),
        iou=_share(hits, total + predicted - hits),
        precision=_share(hits, predicted),
        recall=_share(hits, total),
        true_voxels=total,
        predicted_voxels=predicted,
        missed_voxels=total - hits,
        false_voxels=predicted - hits,
        objects=objects.total,
        predicted_objects=objects.predicted,
        found_objects=objects.found,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
