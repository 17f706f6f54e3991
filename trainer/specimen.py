"""A cut of a volume that shows and tests what a model does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from trainer.neighbours import neighbours
from trainer.spatial_axes import spatial_axes

if TYPE_CHECKING:
    from trainer.model import Model
    from trainer.volume import Volume

_SIDE, _SIDE_3D = 256, 64


def cut_specimen(model: Model, volume: Volume, sections: range) -> np.ndarray:
    """Cuts out where the most foreground is, at a size that the network takes.

    Args:
        model: That it is for.
        volume: To cut from.
        sections: The block to cut from, best one that the model was not trained on.

    Returns:
        Gray values, float32, (1, y, x, section) or (1, z, y, x, 1).
    """
    axes = spatial_axes(model)
    wanted = _SIDE if len(axes) == 2 else _SIDE_3D
    room = (len(sections), *volume.raw.shape[1:])[-len(axes) :]
    sides = [
        max(axis.smallest, min(axis.fitting(wanted), size // axis.step * axis.step))
        for axis, size in zip(axes, room, strict=True)
    ]
    around = _around(model, volume, sections, sides)
    shown = np.max(volume.mask[around], axis=0)
    top, left = _richest(shown, sides[-2:])
    cut = volume.raw[around, top : top + sides[-2], left : left + sides[-1]]
    filled = _fill(cut.astype(np.float32), sides)
    # The z of a 2D network's sections is its channel.
    return filled[np.newaxis, ..., np.newaxis] if len(axes) == 3 else _channels_last(filled)


def _around(model: Model, volume: Volume, sections: range, sides: Sequence[int]) -> Sequence[int]:
    """The sections to cut: those with the most foreground."""
    counts = [int(np.count_nonzero(volume.mask[section])) for section in sections]
    if len(sides) == 2:
        richest = sections[int(np.argmax(counts))]
        return neighbours(richest, model.section_offsets, sections)
    depth = min(sides[0], len(sections))
    sums = np.convolve(counts, np.ones(depth), "valid")
    return list(sections[int(np.argmax(sums)) :][:depth])


def _richest(mask: np.ndarray, sides: Sequence[int]) -> tuple[int, int]:
    """Where a window of these sides has the most foreground: its first row and column."""
    rows, columns = (min(side, size) for side, size in zip(sides, mask.shape, strict=True))
    sums = cv2.boxFilter(
        (mask != 0).astype(np.float32),
        -1,
        (columns, rows),
        anchor=(0, 0),
        normalize=False,
        borderType=cv2.BORDER_CONSTANT,
    )[: mask.shape[0] - rows + 1, : mask.shape[1] - columns + 1]
    top, left = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return int(top), int(left)


def _fill(cut: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """Mirrors a cut of a volume that is smaller than the network takes."""
    sizes = cut.shape[-len(sides) :]
    missing = [(0, max(0, side - size)) for side, size in zip(sides, sizes, strict=True)]
    return np.pad(cut, [(0, 0)] * (cut.ndim - len(sides)) + missing, mode="symmetric")


def _channels_last(sections: np.ndarray) -> np.ndarray:
    return np.moveaxis(sections, 0, -1)[np.newaxis]
