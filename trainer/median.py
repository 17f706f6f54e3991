"""A median along z, which takes away what only one section shows."""

from __future__ import annotations

import numpy as np


def median_along_z(probability: np.ndarray, window: int) -> np.ndarray:
    """The median of each voxel and its neighbours above and below.

    Args:
        probability: uint8 (z, y, x).
        window: Sections, an odd number; 1 changes nothing. The first and the last section stand
            for those beyond them.

    Returns:
        uint8 (z, y, x).
    """
    if window == 1 or len(probability) == 0:
        return probability
    reach, last = window // 2, len(probability) - 1
    smoothed = np.empty_like(probability)
    for section in range(len(probability)):
        near = np.clip(np.arange(section - reach, section + reach + 1), 0, last)
        smoothed[section] = np.partition(probability[near], reach, axis=0)[reach]
    return smoothed
