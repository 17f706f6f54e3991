"""One validation section as a training run sees it, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from trainer.intensity import Intensity
from trainer.overlay import draw_overlay
from trainer.volume import Volume

_LONGEST_SIDE = 1024
_LARGE_ENOUGH = 512
_LOOKED_AT = 16


class Example:
    """Keeps what is predicted for the section that shows the most: the one with most foreground."""

    def __init__(self, volume: Volume, sections: Sequence[int]) -> None:
        """Chooses the section.

        Args:
            volume: To choose from.
            sections: Of which each sixteenth, at the widest, is looked at.
        """
        few = sections[:: -(-len(sections) // _LOOKED_AT)]
        self.section = max(few, key=lambda section: np.count_nonzero(volume.mask[section]))
        self._volume = volume
        self._probability: np.ndarray | None = None  # uint8 (y, x)

    def take(self, section: int, probability: np.ndarray) -> None:
        """Keeps the probability if it is of this section."""
        if section == self.section:
            self._probability = probability

    def draw(self, intensity: Intensity, threshold: float) -> np.ndarray:
        """Draws truth and prediction over the section, scaled to be looked at.

        At most 1024 pixels wide or high; small sections are enlarged by a whole number.

        Returns:
            RGB, uint8 (y, x, 3).
        """
        if self._probability is None:
            raise RuntimeError("nothing has been predicted yet")
        scaled = np.clip(intensity.scale(self._volume.raw[self.section]), 0, 1) * 255
        # As the scores do it: the probability is kept in 256 levels.
        predicted = (self._probability >= round(threshold * 255)).astype(np.uint8)
        truth = (self._volume.mask[self.section] != 0).astype(np.uint8)
        drawn = draw_overlay(
            _fit(scaled.astype(np.uint8), cv2.INTER_AREA),
            _fit(truth, cv2.INTER_NEAREST),
            _fit(predicted, cv2.INTER_NEAREST),
        )
        return _labelled(drawn, f"section {self.section}")


def _fit(picture: np.ndarray, interpolation: int) -> np.ndarray:
    height, width = picture.shape
    scale = _LONGEST_SIDE / max(height, width)
    if scale >= 1:
        times = max(1, _LARGE_ENOUGH // max(height, width))
        return picture.repeat(times, axis=0).repeat(times, axis=1)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=interpolation)


def _labelled(picture: np.ndarray, text: str) -> np.ndarray:
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(picture, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, thickness)
    return picture
