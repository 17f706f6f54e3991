"""Objects that touch, cut where they are thin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from trainer.memory import check_memory

ADVICE = (
    "use --labels without --split-touching, which leaves objects that touch as one, or a machine "
    "with more memory"
)
_WAIST = 0.75
"""Of the thinner part's half thickness: a waist below it is cut."""
_LEAST_VOXELS = 64
_VOXEL_BYTES = 75
"""That scipy and scikit-image need at their peak for a voxel around an object, measured."""


def split_touching(
    labels: np.ndarray, spacing: tuple[float, float, float]
) -> tuple[np.ndarray, int]:
    """Cuts connected objects along the waists of their distance to the background.

    Each part keeps one peak of the distance that stands out from the waist (the h-maxima of Vincent
    1993, with a height in proportion to the peak), and a watershed from the peaks divides the rest.

    What lies beyond the border is not known: an object that is cut by it is not thin there.

    Args:
        labels: Connected objects, numbered from 1 on, (z, y, x).
        spacing: Edges of a voxel, z, y, x.

    Returns:
        The parts, numbered from 1 on, and how many they are.

    Raises:
        InputError: An object is too large for the memory that is free.
    """
    parts, count = np.zeros_like(labels), 0
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        inside = labels[box] == number
        walls = [
            (int(part.start > 0), int(part.stop < length))
            for part, length in zip(box, labels.shape, strict=True)
        ]
        split, found = _split(inside, walls, spacing)
        parts[box][inside] = (split + count)[inside]
        count += found
    return parts, count


def _split(
    inside: np.ndarray, walls: Sequence[tuple[int, int]], spacing: tuple[float, float, float]
) -> tuple[np.ndarray, int]:
    """Parts of one object; `walls` says of each face whether background is behind it."""
    whole = inside.astype(np.uint32)
    walled = np.pad(inside, walls)
    if np.count_nonzero(inside) < _LEAST_VOXELS or walled.all():
        return whole, 1
    check_memory(_VOXEL_BYTES * inside.size, ADVICE)
    distance = ndimage.distance_transform_edt(walled, sampling=spacing).astype(np.float32)
    behind = zip(walls, inside.shape, strict=True)
    distance = distance[tuple(slice(first, first + length) for (first, _), length in behind)]
    peaks = local_maxima(reconstruction(_WAIST * distance, distance), connectivity=3)
    markers, count = label(peaks & inside, connectivity=3, return_num=True)
    if count < 2:
        return whole, 1
    split: np.ndarray = watershed(-distance, markers, mask=inside)
    return split.astype(np.uint32), int(count)
