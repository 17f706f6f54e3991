"""The picture that a published model is shown with."""

from __future__ import annotations

import cv2
import numpy as np

from trainer.intensity import Intensity

_SIDE = 384
_FOUND = (255, 200, 0)


def draw_cover(gray: np.ndarray, probability: np.ndarray, threshold: float) -> np.ndarray:
    """A section beside what the model finds in it, twice as wide as high.

    Args:
        gray: (1, y, x, section) or (1, z, y, x, 1).
        probability: 0 to 1, of the same shape but for one channel.
        threshold: Foreground is where the probability reaches it.

    Returns:
        RGB, uint8 (y, x, 3).
    """
    image, found = _middle(gray), _middle(probability)
    shown = np.clip(Intensity.measure(image).scale(image), 0, 1) * 255
    side = min(image.shape)
    scaled, mask = (
        cv2.resize(part[:side, :side], (_SIDE, _SIDE), interpolation=how)
        for part, how in (
            (shown.astype(np.uint8), cv2.INTER_AREA),
            ((found >= threshold).astype(np.uint8), cv2.INTER_NEAREST),
        )
    )
    plain = np.repeat(scaled[..., np.newaxis], 3, axis=2)
    coloured = plain.copy()
    coloured[mask == 1] = 0.6 * plain[mask == 1] + 0.4 * np.asarray(_FOUND, np.float32)
    return np.concatenate([plain, coloured], axis=1)


def _middle(images: np.ndarray) -> np.ndarray:
    """The section in the middle, (y, x)."""
    first = images[0]
    if first.ndim == 4:
        first = first[len(first) // 2]
    middle: np.ndarray = first[..., first.shape[-1] // 2]
    return middle
