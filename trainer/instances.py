"""Object-wise scores: which mitochondria were found, as objects and not as voxels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import cc3d
import numpy as np
from numpy.typing import NDArray

FULL_CONNECTIVITY = {2: 8, 3: 26}  # neighbours that touch by a face, an edge or a corner


@dataclass(frozen=True)
class InstanceScores:
    """How many objects of the truth a prediction holds.

    A predicted object and a true one match when their intersection over union reaches a bound, so
    `found` counts the matched objects of the truth and of the prediction alike.
    """

    found: int
    total: int
    predicted: int
    precision: float
    recall: float
    f1: float


class _Counts(NamedTuple):
    found: int
    total: int
    predicted: int


def match_instances(
    truth: NDArray[Any], prediction: NDArray[Any], *, iou: float = 0.5
) -> InstanceScores:
    """Matches the connected components of two masks.

    Args:
        truth: Mask, (z, y, x) or (y, x); every value but 0 is foreground. Components touch by
            faces, edges or corners (26 neighbours, 8 in a section).
        prediction: Mask of the same shape.
        iou: Intersection over union from which two components match, 0.5 to 1. Below 0.5 an object
            could match several; from there on the match is unique.
    """
    _check(truth, prediction, iou, dimensions=(2, 3))
    return _score([_match(truth != 0, prediction != 0, iou)])


def match_sections(
    truth: NDArray[Any], prediction: NDArray[Any], *, iou: float = 0.5
) -> InstanceScores:
    """Matches the components section by section and counts them all together.

    Args:
        truth: Mask, (z, y, x); every value but 0 is foreground. Components have 8 neighbours.
        prediction: Mask of the same shape.
        iou: Intersection over union from which two components match, 0.5 to 1.
    """
    _check(truth, prediction, iou, dimensions=(3,))
    sections = zip(truth, prediction, strict=True)
    return _score(_match(true != 0, guess != 0, iou) for true, guess in sections)


def _check(
    truth: NDArray[Any], prediction: NDArray[Any], iou: float, dimensions: tuple[int, ...]
) -> None:
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape}, prediction is {prediction.shape}")
    if truth.ndim not in dimensions:
        raise ValueError(f"a mask of {dimensions} dimensions is needed, this has {truth.ndim}")
    if not 0.5 <= iou <= 1.0:
        raise ValueError(f"components match uniquely at an IoU of 0.5 to 1, not at {iou}")


def _match(truth: NDArray[np.bool_], prediction: NDArray[np.bool_], iou: float) -> _Counts:
    true_labels, total = label_objects(truth)
    guessed_labels, predicted = label_objects(prediction)
    either = truth | prediction  # a few percent of a volume: all that is left to look at
    true, guessed = true_labels[either], guessed_labels[either]
    true_sizes = np.bincount(true, minlength=total + 1)
    guessed_sizes = np.bincount(guessed, minlength=predicted + 1)
    both = (true != 0) & (guessed != 0)
    pairs = true[both].astype(np.int64) * (predicted + 1) + guessed[both]
    codes, shared = np.unique(pairs, return_counts=True)
    union = true_sizes[codes // (predicted + 1)] + guessed_sizes[codes % (predicted + 1)] - shared
    return _Counts(int(np.count_nonzero(shared / union >= iou)), total, predicted)


def label_objects(mask: NDArray[np.bool_]) -> tuple[NDArray[Any], int]:
    """Numbers the connected components of a mask from 1, and counts them."""
    if mask.size == 0:
        return mask.astype(np.uint16), 0
    connectivity: Any = FULL_CONNECTIVITY[mask.ndim]
    # cc3d 4.1.1 makes room for too few labels where the image is binary and a side is odd: single
    # voxels at the border are lost or counted together. As numbers the same mask is labelled right.
    labels, components = cc3d.connected_components(
        mask.view(np.uint8), connectivity=connectivity, return_N=True
    )
    return labels, int(components)


def _score(counts: Iterable[_Counts]) -> InstanceScores:
    found, total, predicted = np.sum([_Counts(0, 0, 0), *counts], axis=0).tolist()
    # No object to find and none predicted is right in every respect.
    empty = 1.0 if total == predicted == 0 else 0.0
    return InstanceScores(
        found=found,
        total=total,
        predicted=predicted,
        precision=found / predicted if predicted else empty,
        recall=found / total if total else empty,
        f1=2 * found / (total + predicted) if total + predicted else empty,
    )
