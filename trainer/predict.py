"""Probabilities for whole sections of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from trainer.errors import Diverged
from trainer.intensity import Intensity
from trainer.neighbours import neighbours
from trainer.sections import Sections
from trainer.views import mean_over_views

_BATCH_VOXELS = 1 << 20


class Network(Protocol):
    """From intensities (example, y, x, section) to probabilities (example, y, x, 1)."""

    def predict_on_batch(self, images: np.ndarray, /) -> Any:
        """Probabilities of some examples."""


def predict_sections(
    network: Network,
    raw: Sections,
    intensity: Intensity,
    *,
    halvings: int,
    channels: int = 1,
    sections: Sequence[int] | None = None,
    block: Sequence[int] | None = None,
    views: int = 1,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (section number, probability), probability as uint8 (y, x) with 255 for 1.

    A section is mirrored to the next multiple of `halvings` and cut back, so that its size does
    not matter to the network.

    Args:
        network: From intensities (example, y, x, section) to probabilities (example, y, x, 1).
        raw: The volume, (z, y, x), of any type, or its sections by their number.
        intensity: The scale of the volume.
        halvings: The factor between the network's first level and its centre.
        channels: Sections that the network sees, the one that it segments in the middle.
        sections: The sections to predict; all by default.
        block: The sections that it may see; by default those that it predicts.
        views: 8 for the mean over flips and quarter turns.

    Raises:
        Diverged: The network gives no numbers.
    """
    wanted = list(range(len(raw)) if sections is None else sections)
    size = max(1, _BATCH_VOXELS // (raw.shape[1] * raw.shape[2]))
    for first in range(0, len(wanted), size):
        numbers = wanted[first : first + size]
        images = intensity.scale(_stack(raw, numbers, channels, block or wanted))
        output = mean_over_views(lambda seen: _predict(network, seen, halvings), images, views)
        if np.isnan(output).any():
            raise Diverged("the network's probabilities are no longer numbers")
        for number, probability in zip(numbers, output, strict=True):
            yield number, to_uint8(probability)


def _stack(
    raw: Sections, numbers: Sequence[int], channels: int, block: Sequence[int]
) -> np.ndarray:
    """Sections with their neighbours as channels, (example, y, x, section)."""
    seen = [[raw[near] for near in neighbours(n, channels, block)] for n in numbers]
    return np.stack([np.stack(sections, axis=-1) for sections in seen])


def _predict(network: Network, images: np.ndarray, halvings: int) -> np.ndarray:
    height, width = images.shape[1:3]
    margins = ((0, 0), (0, -height % halvings), (0, -width % halvings), (0, 0))
    mode: Literal["reflect", "edge"] = "reflect" if min(height, width) > halvings else "edge"
    padded = np.pad(images, margins, mode=mode)
    output: np.ndarray = network.predict_on_batch(padded)
    return output[:, :height, :width, 0]


def to_uint8(probability: np.ndarray) -> np.ndarray:
    """Rounds probabilities of 0 to 1 to the 256 steps that they are kept in."""
    rounded: np.ndarray = np.rint(np.clip(probability, 0.0, 1.0) * 255).astype(np.uint8)
    return rounded
