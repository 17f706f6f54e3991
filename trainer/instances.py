"""Object-wise scores: which mitochondria were found, as objects and not as voxels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray

FULL_CONNECTIVITY = {2: 8, 3: 26}  # neighbours that touch by a face, an edge or a corner
_LOWEST_IOU = 0.5


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


@dataclass(frozen=True, eq=False)
class Overlap:
    """The connected components of a true and a predicted mask, and where they meet.

    Components touch by faces, edges or corners: 26 neighbours, 8 in a section. They are numbered
    from 0.

    Attributes:
        true_sizes: Voxels of each true component.
        true_centres: Their centres of mass, (component, axis), in voxels.
        guessed_sizes: Voxels of each predicted component.
        guessed_centres: Their centres of mass.
        pairs: Those that share a voxel, (pair, 2): the true one, the predicted one.
        ious: The intersection over union of each pair.
    """

    true_sizes: NDArray[np.int64]
    true_centres: NDArray[np.float64]
    guessed_sizes: NDArray[np.int64]
    guessed_centres: NDArray[np.float64]
    pairs: NDArray[np.int64]
    ious: NDArray[np.float64]

    @classmethod
    def measure(cls, truth: NDArray[Any], prediction: NDArray[Any]) -> Overlap:
        """Labels two masks of the same shape, (z, y, x) or (y, x); 0 alone is background."""
        _check(truth, prediction, dimensions=(2, 3))
        true_labels, true_sizes, true_centres = _components(truth != 0)
        labels, sizes, centres = _components(prediction != 0)
        both = (true_labels != 0) & (labels != 0)
        codes = true_labels[both].astype(np.int64) * (len(sizes) + 1) + labels[both]
        met, shared = np.unique(codes, return_counts=True)
        pairs = np.stack(np.divmod(met, len(sizes) + 1), axis=1) - 1
        union = true_sizes[pairs[:, 0]] + sizes[pairs[:, 1]] - shared
        return cls(true_sizes, true_centres, sizes, centres, pairs, shared / union)

    @property
    def true_ious(self) -> NDArray[np.float64]:
        """The best intersection over union of each true component, 0 where nothing meets it."""
        return self._best(0, len(self.true_sizes))

    @property
    def guessed_ious(self) -> NDArray[np.float64]:
        """The same of each predicted component."""
        return self._best(1, len(self.guessed_sizes))

    def _best(self, side: int, count: int) -> NDArray[np.float64]:
        best = np.zeros(count)
        np.maximum.at(best, self.pairs[:, side], self.ious)
        return best


def measure_sections(truth: NDArray[Any], prediction: NDArray[Any]) -> list[Overlap]:
    """The overlap of every section of two masks, (z, y, x)."""
    _check(truth, prediction, dimensions=(3,))
    return [Overlap.measure(true, guess) for true, guess in zip(truth, prediction, strict=True)]


def score_overlaps(overlaps: Iterable[Overlap], *, iou: float = _LOWEST_IOU) -> InstanceScores:
    """Counts the matches of all overlaps together.

    Args:
        overlaps: One of a volume, or those of its sections.
        iou: Intersection over union from which two components match, 0.5 to 1. Below 0.5 an object
            could match several; from there on the match is unique.
    """
    if not _LOWEST_IOU <= iou <= 1.0:
        raise ValueError(f"components match uniquely at an IoU of 0.5 to 1, not at {iou}")
    counts = [
        (int(np.count_nonzero(o.ious >= iou)), len(o.true_sizes), len(o.guessed_sizes))
        for o in overlaps
    ]
    found, total, predicted = (sum(column) for column in zip((0, 0, 0), *counts, strict=True))
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


def panoptic_quality(overlaps: Sequence[Overlap]) -> float:
    """F1 of the objects times the mean IoU of those found (Kirillov et al. 2019, arXiv 1801.00868).

    As in `score_overlaps`, components match from an IoU of 0.5 on, where the paper asks for more
    than 0.5. Without any object it is 1.
    """
    scores = score_overlaps(overlaps)
    if scores.total + scores.predicted == 0:
        return 1.0
    matched = sum(float(o.ious[o.ious >= _LOWEST_IOU].sum()) for o in overlaps)
    return 2 * matched / (scores.total + scores.predicted)


def _check(truth: NDArray[Any], prediction: NDArray[Any], dimensions: tuple[int, ...]) -> None:
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape}, prediction is {prediction.shape}")
    if truth.ndim not in dimensions:
        raise ValueError(f"a mask of {dimensions} dimensions is needed, this has {truth.ndim}")


def label_objects(mask: NDArray[np.bool_]) -> NDArray[Any]:
    """Numbers the connected components of a mask (z, y, x) or (y, x) from 1; 0 is background."""
    if not mask.any():
        return mask.view(np.uint8)
    connectivity: Any = FULL_CONNECTIVITY[mask.ndim]
    # cc3d 4.1.1 makes room for too few labels where the image is binary and a side is odd: single
    # voxels at the border are lost or counted together. As numbers the same mask is labelled right.
    labels: NDArray[Any] = cc3d.connected_components(mask.view(np.uint8), connectivity=connectivity)
    return labels


def _components(
    mask: NDArray[np.bool_],
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.float64]]:
    """Labels from 1, and the size and the centre of each component."""
    labels = label_objects(mask)
    if not labels.any():
        return labels, np.zeros(0, np.int64), np.zeros((0, mask.ndim))
    facts: Any = cc3d.statistics(labels)
    sizes = np.asarray(facts["voxel_counts"][1:], np.int64)
    return labels, sizes, np.asarray(facts["centroids"][1:], np.float64)
