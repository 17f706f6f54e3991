"""How many objects a mask holds, how large they are, and the tile that suits them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np

from trainer.instances import FULL_CONNECTIVITY

_SHARE_THAT_FITS = 0.95
_SMALLEST_TILE = 32


@dataclass(frozen=True, eq=False)
class Objects:
    """The connected components of a mask, in voxels.

    Attributes:
        areas: Of the objects of all sections (8 neighbours), one after the other.
        volumes: Of the objects of the volume (26 neighbours), in the order of their labels.
        extents: The longer side of the box around each object of a section.
        per_section: Number of objects in each section.
        at_border: Objects of the volume that its faces may have cut: their sizes are lower bounds.
        labels: The volume with the objects numbered from 1, (z, y, x).
    """

    areas: np.ndarray
    volumes: np.ndarray
    extents: np.ndarray
    per_section: np.ndarray
    at_border: int
    labels: np.ndarray

    def suggest_tile_size(self) -> int:
        """The power of two whose tile shows an object whole, and holds at least one on average.

        95 % of the objects of the sections fit into it, and its area times the density of objects
        is one or more, as far as the section is that large; 32 is the least.
        """
        sections, *sides = self.labels.shape
        density = len(self.areas) / (sections * math.prod(sides))
        needed = max(float(np.quantile(self.extents, _SHARE_THAT_FITS)), density**-0.5)
        largest = int(math.log2(max(_SMALLEST_TILE, min(sides))))
        return max(_SMALLEST_TILE, 1 << min(largest, math.ceil(math.log2(needed))))


def measure_objects(mask: np.ndarray) -> Objects:
    """Counts the objects of a mask and measures them.

    Args:
        mask: 0 or 1, uint8, (z, y, x), with at least one voxel of foreground.
    """
    # As numbers, not as truth values, which cc3d 4.1.1 labels wrongly: see trainer.instances.
    numbers = np.ascontiguousarray(mask).view(np.uint8)
    boxes, areas, per_section = [], [], []
    for section in numbers:
        _, sizes, extents = _label(section)
        per_section.append(len(sizes))
        areas.append(sizes)
        boxes.append(extents.max(axis=1, initial=0))
    labels, volumes, _ = _label(numbers)
    return Objects(
        areas=np.concatenate(areas),
        volumes=volumes,
        extents=np.concatenate(boxes),
        per_section=np.asarray(per_section),
        at_border=_count_at_border(labels),
        labels=labels,
    )


def empty_tile_share(mask: np.ndarray, tile_size: int) -> float:
    """The share of the tiles of a grid over the sections that hold no foreground.

    Args:
        mask: 0 or 1, (z, y, x).
        tile_size: Voxels of a side; what is left at the far borders makes no tile.
    """
    rows, columns = (max(1, length // tile_size) for length in mask.shape[1:])
    cut = mask[:, : rows * tile_size, : columns * tile_size]
    height, width = cut.shape[1] // rows, cut.shape[2] // columns
    tiles = cut[:, : rows * height, : columns * width].reshape(
        len(mask), rows, height, columns, width
    )
    return float(1 - tiles.any(axis=(2, 4)).mean())


def _label(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, sizes and extents of the boxes (object, axis)."""
    connectivity: Any = FULL_CONNECTIVITY[mask.ndim]
    labels = cc3d.connected_components(mask, connectivity=connectivity)
    measured = cc3d.statistics(labels, no_slice_conversion=True)
    sizes = np.asarray(measured["voxel_counts"])[1:].astype(np.int64)
    boxes = np.asarray(measured["bounding_boxes"])[1:].astype(np.int64)
    # First and last index of every axis, both inside the box.
    extents = boxes[:, 1::2] - boxes[:, 0::2] + 1
    return labels, sizes, extents


def _count_at_border(labels: np.ndarray) -> int:
    cut: set[int] = set()
    for axis in range(labels.ndim):
        for end in (0, -1):
            cut.update(np.unique(labels.take(end, axis=axis)).tolist())
    return len(cut - {0})
