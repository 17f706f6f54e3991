"""Objects of too few voxels, which are rarely anything: what is too few, and taking them away."""

from __future__ import annotations

from collections.abc import Sequence

import cc3d
import numpy as np
from numpy.typing import NDArray

from trainer.instances import label_objects


def drop_small_objects(
    probability: NDArray[np.uint8], level: int, voxels: int
) -> NDArray[np.uint8]:
    """Sets the objects of fewer voxels to 0.

    Args:
        probability: (z, y, x), with 255 for 1.
        level: Foreground is where the probability reaches it.
        voxels: The smallest object that is kept; 0 keeps all.
    """
    if voxels <= 1 or probability.size == 0:
        return probability
    # As numbers: binary images are not always labelled right (see `label_objects`).
    mask = (probability >= level).view(np.uint8)
    kept = cc3d.dust(mask, threshold=voxels, connectivity=26)
    return np.where(mask > kept, np.uint8(0), probability)


def choose_smallest_object(
    masks: Sequence[NDArray[np.bool_]], truths: Sequence[NDArray[np.bool_]]
) -> int:
    """The number of voxels from which on objects are kept, for the highest Dice.

    Of numbers that are equally good it is the least: one more than the largest object that is
    better taken away. It is never more than half the median size of the true objects, however
    large the false ones are: few objects are no ground to take away what looks like a true one.

    Args:
        masks: Predictions, (z, y, x); their objects are judged together.
        truths: What is true of each.

    Returns:
        0 where it is best to keep all.
    """
    counted = [_count(mask, truth) for mask, truth in zip(masks, truths, strict=True)]
    sizes, hits = (np.concatenate(counts) for counts in zip(*counted, strict=True))
    order = np.argsort(sizes, kind="stable")
    sizes, hits = sizes[order], hits[order]
    # What is left when the objects up to each size are gone; before the first, all of them.
    last = np.flatnonzero(np.diff(sizes, append=np.inf))
    dropped = np.concatenate([[0], sizes[last] + 1])
    left = sizes.sum() - np.concatenate([[0], np.cumsum(sizes)[last]])
    found = hits.sum() - np.concatenate([[0], np.cumsum(hits)[last]])
    positives = sum(int(np.count_nonzero(truth)) for truth in truths)
    dice = 2 * found / np.maximum(left + positives, 1)
    allowed = dropped <= _half_of_the_median(truths)
    return int(dropped[int(np.argmax(np.where(allowed, dice, -1.0)))])


def _half_of_the_median(truths: Sequence[NDArray[np.bool_]]) -> float:
    sizes = np.concatenate([_count(truth, truth)[0] for truth in truths])
    return float(np.median(sizes)) / 2 if sizes.size else 0.0


def _count(
    mask: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Voxels of each object, and how many of them are right."""
    labels = label_objects(mask)
    # A few percent of a volume: all that is left to look at.
    sizes = np.bincount(labels[mask], minlength=1)[1:]
    hits = np.bincount(labels[mask & truth], minlength=len(sizes) + 1)[1:]
    return sizes, hits
