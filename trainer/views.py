"""The eight ways to look at a section: flips and quarter turns, which change no object."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

VIEWS = (1, 8)
"""How many views a prediction may be the mean of: the section as it is, or all eight."""


def mean_over_views(
    predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray, views: int
) -> np.ndarray:
    """Predicts each view, turns the predictions back and takes their mean.

    Args:
        predict: From images (example, y, x, channel) to probabilities (example, y, x).
        images: float32 (example, y, x, channel).
        views: 1 for the images as they are, 8 for their flips and quarter turns as well.

    Returns:
        float32 (example, y, x).
    """
    if views == 1:
        return predict(images)
    total = np.zeros(images.shape[:3], np.float32)
    for turns in range(4):
        turned = np.rot90(images, turns, axes=(1, 2))
        total += np.rot90(predict(turned), -turns, axes=(1, 2))
        total += np.rot90(predict(turned[:, :, ::-1])[:, :, ::-1], -turns, axes=(1, 2))
    return total / np.float32(8)
