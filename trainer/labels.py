"""Objects of a volume that is looked at a slab at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import cc3d
import numpy as np
from scipy import sparse

from trainer.instances import FULL_CONNECTIVITY
from trainer.memory import check_memory
from trainer.splitting import ADVICE, split_touching

Kind = Literal["components", "watershed"]
"""Whether objects that touch are one, or are cut where they are thin."""

_SLAB_VOXELS = 1 << 24
# A component is the same in two slabs if it is in one section of both. What is cut depends on
# what surrounds it, and has to be mostly the same where two slabs have seen it.
_SHARED = {"components": 1, "watershed": 16}
_LEAST = {"components": 2, "watershed": 64}
_SAME = {"components": 0.0, "watershed": 0.5}
# Of mask, components and parts: what every slab takes, whatever is in it.
_VOXEL_BYTES = 12


@dataclass(frozen=True)
class LabelOptions:
    """What counts as an object.

    Attributes:
        kind: `components` (26-connected), or `watershed` on the distance to the background.
        smallest_voxels: Smaller objects are left out.
        spacing: Edges of a voxel, z, y, x, in any unit: distances are measured with it.
    """

    kind: Kind = "components"
    smallest_voxels: int = 0
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class _Slab:
    """Sections that are looked at together, and those of them that count here alone."""

    start: int
    stop: int
    own_start: int
    own_stop: int

    @property
    def own(self) -> slice:
        return slice(self.own_start - self.start, self.own_stop - self.start)


def check_label_memory(shape: tuple[int, int, int], kind: Kind) -> None:
    """Refuses a volume of which a slab does not fit into memory.

    Raises:
        InputError: It does not.
    """
    thickest = max(slab.stop - slab.start for slab in _divide(shape, kind))
    needed = _VOXEL_BYTES * thickest * shape[1] * shape[2]
    if kind == "watershed":
        check_memory(needed, ADVICE)
    else:
        check_memory(needed)


class LabelledVolume:
    """Objects numbered from 1 on.

    Slabs share sections, in which their objects find each other. The volume is gone through once
    to find objects and once more to number them, so that memory holds a slab and no more.

    Attributes:
        shape: Of the volume, (z, y, x).
        count: Objects found.
        dtype: The smallest type that holds their numbers.
    """

    def __init__(
        self,
        mask: Callable[[int, int], np.ndarray],
        shape: tuple[int, int, int],
        options: LabelOptions,
        on_section: Callable[[int], None] = lambda done: None,
    ) -> None:
        """Finds the objects.

        Args:
            mask: Gives the foreground of sections from the first number to under the second, bool
                (z, y, x).
            shape: Of the volume, (z, y, x).
            options: What counts as an object.
            on_section: Told how many sections have been looked at.

        Raises:
            InputError: There is too little memory to cut a large object.
        """
        self._mask, self._options, self.shape = mask, options, shape
        self._slabs = _divide(shape, options.kind)
        sizes, pairs = self._find(on_section)
        self._numbers = _number(sizes, pairs, options.smallest_voxels)
        self.count = int(self._numbers.max())
        self.dtype: np.dtype[Any] = np.dtype(np.uint16 if self.count < 1 << 16 else np.uint32)

    def sections(self) -> Iterator[np.ndarray]:
        """Their numbers section by section, (y, x), 0 for the background."""
        numbers, offset = self._numbers.astype(self.dtype), 0
        for slab in self._slabs:
            labels, count = self._label(slab)
            here = np.concatenate([numbers[:1], numbers[offset + 1 : offset + count + 1]])
            for section in labels[slab.own]:
                yield here[section]
            offset += count

    def _find(self, on_section: Callable[[int], None]) -> tuple[np.ndarray, np.ndarray]:
        """Voxels of every slab's objects, and pairs of objects that are one."""
        sizes, pairs = [np.zeros(1, np.int64)], [np.zeros((0, 2), np.int64)]
        before, offset = np.zeros((0, *self.shape[1:]), np.uint32), 0
        for slab in self._slabs:
            labels, count = self._label(slab)
            pairs.append(self._pair(before, labels[: len(before)]) + offset)
            sizes.append(np.bincount(labels[slab.own].ravel(), minlength=count + 1)[1:])
            # The numbers of this slab as the next one counts, which begins at 0.
            shared = labels[len(labels) - _SHARED[self._options.kind] :].astype(np.int64)
            before = np.where(shared > 0, shared - count, 1)
            offset += count
            on_section(slab.own_stop)
        return np.concatenate(sizes), np.concatenate(pairs)

    def _pair(self, before: np.ndarray, here: np.ndarray) -> np.ndarray:
        """Pairs (object of the slab before, object of this one); those before are 0 and less."""
        both = (before <= 0) & (here > 0)
        stacked = np.stack([before[both], here[both].astype(np.int64)], axis=1)
        pairs, voxels = np.unique(stacked, axis=0, return_counts=True)
        least = _SAME[self._options.kind]
        if least == 0 or len(pairs) == 0:
            return pairs
        sizes = [
            dict(zip(*np.unique(each, return_counts=True), strict=True)) for each in (before, here)
        ]
        smaller = [min(sizes[0][a], sizes[1][b]) for a, b in pairs.tolist()]
        kept: np.ndarray = pairs[voxels > least * np.array(smaller)]
        return kept

    def _label(self, slab: _Slab) -> tuple[np.ndarray, int]:
        mask = self._mask(slab.start, slab.stop)
        connectivity: Any = FULL_CONNECTIVITY[3]
        # As numbers: see `trainer.instances`.
        labels, count = cc3d.connected_components(
            mask.view(np.uint8), connectivity=connectivity, return_N=True, out_dtype=np.uint32
        )
        if self._options.kind == "components":
            return labels, int(count)
        return split_touching(labels, self._options.spacing)


def _divide(shape: tuple[int, int, int], kind: Kind) -> list[_Slab]:
    shared, least = _SHARED[kind], _LEAST[kind]
    thick = max(least, _SLAB_VOXELS // (shape[1] * shape[2]))
    starts = list(range(0, max(1, shape[0] - shared), thick - shared))
    cuts = [0, *(start + shared // 2 for start in starts[1:]), shape[0]]
    return [
        _Slab(start, min(start + thick, shape[0]), own_start, own_stop)
        for start, (own_start, own_stop) in zip(starts, pairwise(cuts), strict=True)
    ]


def _number(sizes: np.ndarray, pairs: np.ndarray, smallest: int) -> np.ndarray:
    """The final number of every slab's objects, 0 for those that are left out."""
    links = sparse.coo_array(
        (np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(sizes), len(sizes))
    )
    # Groups are numbered in the order of their first object.
    _, group = sparse.csgraph.connected_components(links, directed=False)
    voxels = np.bincount(group, weights=sizes)
    kept = voxels >= max(1, smallest)
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0)
    found: np.ndarray = numbers[group]
    return found
