"""Probabilities for whole sections of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from trainer.errors import Diverged
from trainer.hyperparameters import Hyperparameters
from trainer.input_grid import InputGrid
from trainer.intensity import Intensity
from trainer.neighbours import neighbours
from trainer.sections import Sections
from trainer.slabs import Slab, SlabNetwork, plan_slabs
from trainer.views import mean_over_views

_BATCH_VOXELS = 1 << 20
_LEAST_BATCH = 2
"""For a single image oneDNN takes convolutions that are half as fast."""
_LARGE_VOXELS = 1 << 26
"""Above it, all channels counted, a section is enough: it is cut into windows anyway."""


class Network(Protocol):
    """From intensities (example, y, x, section) to probabilities (example, y, x, 1)."""

    def predict_on_batch(self, images: np.ndarray, /) -> Any:
        """Probabilities of some examples."""


def predict_sections(
    network: Network,
    raw: Sections,
    intensity: Intensity,
    grid: InputGrid | Hyperparameters,
    *,
    sections: Sequence[int] | None = None,
    block: Sequence[int] | None = None,
    views: int = 1,
    rounded: bool = True,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (section number, probability), probability as (y, x), uint8 with 255 for 1.

    A section is mirrored to the next multiple of the network's `halvings` and cut back, so that
    its size does not matter to the network. A 3D network sees as many sections at once as the
    tiles had that it was trained on.

    Args:
        network: From intensities to probabilities, as `build_unet` says their shapes.
        raw: The volume, (z, y, x), of any type, or its sections by their number.
        intensity: The scale of the volume.
        grid: What the network asks of its input.
        sections: The sections to predict; all by default.
        block: The sections that it may see; by default those that it predicts.
        views: 8 for the mean over flips and quarter turns.
        rounded: To 256 steps; else float32 from 0 to 1.

    Raises:
        Diverged: The network gives no numbers.
    """
    wanted = list(range(len(raw)) if sections is None else sections)
    asked, visible = set(wanted), list(block or wanted)
    if grid.is_3d:
        network, slabs = SlabNetwork(network), plan_slabs(visible, grid.tile_sections)
    else:
        slabs = _batches(wanted, _batch_size(raw.shape[1] * raw.shape[2], grid.section_offsets))
    for slab in slabs:
        kept = slab.seen[slab.kept]
        if not asked.intersection(kept):
            continue
        images = intensity.scale(_stack(raw, slab.seen, grid.section_offsets, visible))
        output = mean_over_views(lambda seen: _predict(network, seen, grid.halvings), images, views)
        if np.isnan(output).any():
            raise Diverged("the network's probabilities are no longer numbers")
        for number, probability in zip(kept, output[slab.kept], strict=True):
            if number in asked:
                yield number, to_uint8(probability) if rounded else to_float32(probability)


def _batch_size(voxels: int, offsets: Sequence[int]) -> int:
    """Sections at a time, for voxels of one of them."""
    least = _LEAST_BATCH if voxels * len(offsets) <= _LARGE_VOXELS else 1
    return max(least, _BATCH_VOXELS // voxels)


def _batches(wanted: Sequence[int], size: int) -> Iterator[Slab]:
    """Sections that have nothing to do with each other, so many at a time."""
    for first in range(0, len(wanted), size):
        yield Slab(tuple(wanted[first : first + size]), slice(None))


def _stack(
    raw: Sections, numbers: Sequence[int], offsets: Sequence[int], block: Sequence[int]
) -> np.ndarray:
    """Sections with their neighbours as channels, (example, y, x, section)."""
    seen = [[raw[near] for near in neighbours(n, offsets, block)] for n in numbers]
    return np.stack([np.stack(sections, axis=-1) for sections in seen])


def _predict(network: Network, images: np.ndarray, halvings: int) -> np.ndarray:
    height, width = images.shape[1:3]
    margins = ((0, 0), (0, -height % halvings), (0, -width % halvings), (0, 0))
    mode: Literal["reflect", "edge"] = "reflect" if min(height, width) > halvings else "edge"
    # Padding copies, even by nothing.
    padded = np.pad(images, margins, mode=mode) if any(map(sum, margins)) else images
    output: np.ndarray = network.predict_on_batch(padded)
    return output[:, :height, :width, 0]


def to_float32(probability: np.ndarray) -> np.ndarray:
    """Probabilities of 0 to 1 as they are, of a network in any precision."""
    kept: np.ndarray = np.clip(probability, 0.0, 1.0, dtype=np.float32)
    return kept


def to_uint8(probability: np.ndarray) -> np.ndarray:
    """Rounds probabilities of 0 to 1 to the 256 steps that they are kept in."""
    rounded: np.ndarray = np.rint(np.clip(probability, 0.0, 1.0) * 255).astype(np.uint8)
    return rounded
