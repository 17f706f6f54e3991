"""Sections too large for the network, predicted in windows that are blended into each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np

from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.input_grid import InputGrid
from trainer.memory import free_memory

Blend = Literal["taper", "mean"]
_LEAST_RAMP = 16
# Feature maps of a level that are alive at once, float32, measured from above.
_MAPS = 6
_MOST_BYTES = 4_000_000_000
_MOST_BYTES_BY_IMAGE = 2_000_000_000
_SHARE_OF_FREE = 0.5


@dataclass(frozen=True)
class Windows:
    """How a section is divided.

    Attributes:
        size: Voxels along a side.
        overlap: Share of a side that the next window sees again, from 0 to under 1.
        blend: `taper` lets a window count less towards its borders, where the network sees less of
            what surrounds a voxel; `mean` gives the plain mean of all windows over a voxel, as the
            report of 2019 does with windows of 256 x 256.
        halo: Voxels along each inner border that are seen but not used, with `taper`.
    """

    size: int
    overlap: float = 0.5
    blend: Blend = "taper"
    halo: int = 0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise InputError(f"window: expected a number of voxels from 1 on, got {self.size}")
        if not 0 <= self.overlap < 1:
            raise InputError(f"overlap: expected a share from 0 to under 1, got {self.overlap}")
        if self.blend not in ("taper", "mean"):
            raise InputError(f"blend: expected taper or mean, got {self.blend!r}")


def choose_windows(
    networks: Sequence[Hyperparameters],
    section: tuple[int, int],
    most_voxels: int,
    at_all: int | None = None,
) -> Windows | None:
    """Windows that give what the whole section gives, or None where it fits as it is.

    With a normalization by layer or group they come near to it only: it looks at the whole image.
    So do windows that memory allows no halo around which is all that the network sees; for these
    `is_approximate` is true.

    Args:
        networks: One, or those of an ensemble.
        section: Voxels along y and x.
        most_voxels: That the network should be given at once.
        at_all: That there is memory for where windows of so many are too small; no more by default.
    """
    step = max(each.halvings for each in networks)
    padded = [-(-side // step) * step for side in section]
    if math.prod(padded) <= most_voxels:
        return None
    halo = max(map(receptive_radius, networks))
    # At least as much is kept of a window as is seen around it, if there is any memory for it.
    least = -(-(4 * halo + _LEAST_RAMP) // step) * step
    overlap = 2 * halo + _LEAST_RAMP

    def seen(size: int) -> int:
        """Voxels that the network sees of a section: the largest windows are not the cheapest."""
        sides = [(side, min(size, side)) for side in padded]
        return math.prod(_count(side, own, overlap / size, step) * own for side, own in sides)

    def fitting(sizes: range, most: int) -> list[int]:
        return [size for size in sizes if math.prod(min(size, side) for side in padded) <= most]

    room = fitting(range(least, max(padded), step), most_voxels)
    if room:
        size = min(room, key=seen)
        return Windows(size, overlap / size, "taper", halo)
    smallest = min(least, -(-2 * _LEAST_RAMP // step) * step)
    tight = fitting(range(smallest, least + 1, step), most_voxels if at_all is None else at_all)
    return _narrowed(max(tight, default=smallest), halo)


def _narrowed(size: int, halo: int) -> Windows:
    """Windows of which at least as much is kept as the halo takes, and be the halo too thin."""
    halo = min(halo, (size - _LEAST_RAMP) // 4)
    return Windows(size, (2 * halo + _LEAST_RAMP) / size, "taper", halo)


def is_approximate(windows: Windows | None, networks: Sequence[Hyperparameters]) -> bool:
    """Whether voxels are used of which the network sees less than of a whole section.

    Args:
        windows: As `choose_windows` gives them.
        networks: For which it did.
    """
    return windows is not None and windows.halo < max(map(receptive_radius, networks))


def count_room(networks: Sequence[Hyperparameters], limit: int | None = None) -> int:
    """Voxels of a section that are well given at once: memory holds all their feature maps.

    Args:
        networks: One, or those of an ensemble.
        limit: Bytes that this process may use of what is free; None for all of it.
    """
    return _count_voxels(networks, min(_free_bytes(limit), _most_bytes(networks)))


def count_memory(networks: Sequence[Hyperparameters], limit: int | None = None) -> int:
    """Voxels of a section that there is memory for at all, at least those of `count_room`.

    Args:
        networks: One, or those of an ensemble.
        limit: Bytes that this process may use of what is free; None for all of it.
    """
    return _count_voxels(networks, _free_bytes(limit))


def _count_voxels(networks: Sequence[Hyperparameters], nbytes: float) -> int:
    grid = InputGrid.of(networks)
    features = max(
        sum(filters / 4**level for level, filters in enumerate(each.level_filters))
        / each.stem_stride**2
        for each in networks
    )
    # A 3D network sees a slab of sections at once.
    sections = grid.tile_sections if grid.is_3d else 1
    each = 4 * sections * (_MAPS * features + 2 * len(grid.section_offsets) + 4)
    return int(nbytes / each)


def _most_bytes(networks: Sequence[Hyperparameters]) -> int:
    # What a network with such a normalization finds depends on how much of a section it is given:
    # that is to be as much wherever there is memory enough.
    by_image = any(each.normalization in ("layer", "group") for each in networks)
    return _MOST_BYTES_BY_IMAGE if by_image else _MOST_BYTES


def _free_bytes(limit: int | None) -> float:
    return _SHARE_OF_FREE * (free_memory() if limit is None else min(limit, free_memory()))


def _count(length: int, side: int, overlap: float, step: int) -> int:
    """Windows from border to border, no further apart than the overlap allows."""
    stride = max(step, int(side * (1 - overlap)) // step * step)
    return -(-(length - side) // stride) + 1


def receptive_radius(hyperparameters: Hyperparameters) -> int:
    """Voxels from a voxel to the furthest that its probability can depend on, in the plane.

    A normalization by layer or group looks at the whole image; it is not counted.
    """
    side, repeats = hyperparameters.convolutions
    reach = repeats * (side // 2)
    depth = len(hyperparameters.level_filters) - 1
    # Convolutions on the way down and up, the pooling, and the resizing with what smooths it.
    levels = sum((2 * reach + 3) << level for level in range(depth))
    stride = hyperparameters.stem_stride
    return stride * (levels + (reach << depth)) + stride - 1


class WindowedNetwork:
    """A network that sees windows, for one who gives it whole images."""

    def __init__(self, network: Any, windows: Windows | None, step: int, most_voxels: int) -> None:
        """Keeps the settings.

        Args:
            network: From images (example, ..., y, x, channel) to (example, ..., y, x, 1).
            windows: How images are divided; None for whole ones.
            step: Windows begin at its multiples, where the network's pooling begins.
            most_voxels: That the network is given at once.
        """
        self._network, self._step, self._most_voxels = network, step, most_voxels
        self._windows = windows

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        """Probabilities of images whose sides are multiples of `step`."""
        if self._windows is None:
            return self._in_turn(images)
        total = np.zeros((*images.shape[:-1], 1), np.float32)
        weight = np.zeros((*images.shape[-3:-1], 1), np.float32)
        size = -(-self._windows.size // self._step) * self._step
        sides = tuple(min(size, side) for side in images.shape[-3:-1])
        places = list(self._places(images.shape[-3:-1], sides))
        count = max(1, self._most_voxels // max(1, images[..., 0].size // weight.size * size**2))
        for first in range(0, len(places), count):
            some = places[first : first + count]
            seen = np.concatenate([images[..., y, x, :] for y, x in some])
            outputs = np.split(self._in_turn(seen), len(some))
            for (y, x), output in zip(some, outputs, strict=True):
                share = self._weight((y, x), images.shape[-3:-1])
                total[..., y, x, :] += output * share
                weight[y, x] += share
        total /= weight
        return total

    def _in_turn(self, images: np.ndarray) -> np.ndarray:
        """As many examples at once as there is room for."""
        count = max(1, self._most_voxels // max(1, math.prod(images.shape[1:-1])))
        if count >= len(images):
            whole: np.ndarray = self._network.predict_on_batch(images)
            return whole
        parts = range(0, len(images), count)
        return np.concatenate(
            [self._network.predict_on_batch(images[first : first + count]) for first in parts]
        )

    def _places(
        self, lengths: tuple[int, ...], sides: tuple[int, ...]
    ) -> Iterator[tuple[slice, slice]]:
        rows, columns = (
            [slice(first, first + side) for first in self._starts(length, side)]
            for length, side in zip(lengths, sides, strict=True)
        )
        yield from product(rows, columns)

    def _starts(self, length: int, side: int) -> list[int]:
        """Evenly from border to border."""
        overlap = self._windows.overlap if self._windows else 0.0
        count = _count(length, side, overlap, self._step)
        places = np.linspace(0, (length - side) // self._step, count)
        return [round(place) * self._step for place in places.tolist()]

    def _weight(self, place: tuple[slice, slice], lengths: tuple[int, ...]) -> np.ndarray:
        """How much a window counts at each of its voxels, (y, x, 1)."""
        rows, columns = (
            self._ramp(part, length) for part, length in zip(place, lengths, strict=True)
        )
        return np.outer(rows, columns)[..., np.newaxis]

    def _ramp(self, part: slice, length: int) -> np.ndarray:
        """From nearly 0 behind the halo to 1 where the next window ends; 1 at the image's ends."""
        side = part.stop - part.start
        windows = self._windows
        ramp = np.ones(side, np.float32)
        if windows is None or windows.blend == "mean":
            return ramp
        wide = max(1.0, side * windows.overlap - 2 * windows.halo)
        rise = np.clip((np.arange(side) + 0.5 - windows.halo) / wide, 1e-6, 1).astype(np.float32)
        if part.start > 0:
            ramp *= rise
        if part.stop < length:
            ramp *= rise[::-1]
        return ramp
