"""Stacks of sections that a 3D network segments as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Slab:
    """Sections that go through the network together, and those of them that are kept.

    Attributes:
        seen: Section numbers, in the order that the network sees them in.
        kept: Which of these the prediction is taken for.
    """

    seen: tuple[int, ...]
    kept: slice


def plan_slabs(block: Sequence[int], sections: int) -> Iterator[Slab]:
    """Covers a block by overlapping slabs; each of its sections is kept once, in its order.

    A quarter of a slab at either end serves as the neighbourhood of what lies between, except at
    an end of the block. A block of fewer sections than a slab is mirrored at its end.

    Args:
        block: Sections to predict, of which alone the network sees.
        sections: Of a slab.
    """
    if not len(block):
        return
    missing = max(0, sections - len(block))
    numbers = [int(number) for number in np.pad(block, (0, missing), mode="reflect")]
    margin, done, last = sections // 4, 0, len(numbers) - sections
    while done < len(block):
        # The last slab is moved back to where it ends with the block.
        first = min(max(0, done - margin), last)
        stop = len(block) if first == last else first + sections - margin
        yield Slab(tuple(numbers[first : first + sections]), slice(done - first, stop - first))
        done = stop


class SlabNetwork:
    """A 3D network that takes the sections of one slab as a 2D network takes its examples."""

    def __init__(self, network: Any) -> None:
        """Wraps the network.

        Args:
            network: From intensities to probabilities, both (example, z, y, x, 1).
        """
        self._network = network

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        """The probabilities of a slab, (section, y, x, 1), as its intensities are."""
        probability: np.ndarray = self._network.predict_on_batch(images[np.newaxis])[0]
        return probability
