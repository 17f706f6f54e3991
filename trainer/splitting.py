"""Objects that touch, cut where they are thin."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

_WAIST = 0.75
"""Of the thinner part's half thickness: a waist below it is cut."""
_LEAST_VOXELS = 64


def split_touching(
    labels: np.ndarray, spacing: tuple[float, float, float]
) -> tuple[np.ndarray, int]:
    """Cuts connected objects along the waists of their distance to the background.

    Each part keeps one peak of the distance that stands out from the waist (the h-maxima of Vincent
    1993, with a height in proportion to the peak), and a watershed from the peaks divides the rest.

    Args:
        labels: Connected objects, numbered from 1 on, (z, y, x).
        spacing: Edges of a voxel, z, y, x.

    Returns:
        The parts, numbered from 1 on, and how many they are.
    """
    parts, count = np.zeros_like(labels), 0
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        inside = labels[box] == number
        split, found = _split(inside, spacing)
        parts[box][inside] = (split + count)[inside]
        count += found
    return parts, count


def _split(inside: np.ndarray, spacing: tuple[float, float, float]) -> tuple[np.ndarray, int]:
    whole = inside.astype(np.uint32)
    if np.count_nonzero(inside) < _LEAST_VOXELS:
        return whole, 1
    # Beyond the volume nothing is known: an object that is cut by its border is not thin there.
    distance = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=spacing)
    distance = distance[1:-1, 1:-1, 1:-1].astype(np.float32)
    peaks = local_maxima(reconstruction(_WAIST * distance, distance), connectivity=3)
    markers, count = label(peaks & inside, connectivity=3, return_num=True)
    if count < 2:
        return whole, 1
    split: np.ndarray = watershed(-distance, markers, mask=inside)
    return split.astype(np.uint32), int(count)
