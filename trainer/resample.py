"""A volume at the voxel size that a network was trained on, and its probabilities at its own."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from trainer.errors import InputError
from trainer.sections import Sections
from trainer.voxel_size import VoxelSize, is_alike

MOST_APART = 16.0
"""Times finer or coarser, beyond which a voxel size is more likely a mistake."""


def resampled_shape(
    shape: Sequence[int], here: VoxelSize, trained: VoxelSize, *, along_z: bool
) -> tuple[int, int, int]:
    """The shape (z, y, x) of the volume in voxels of the size trained on; alike stays as it is.

    Args:
        shape: Of the volume, (z, y, x).
        here: Edges of its voxels, z, y, x.
        trained: Of those that the network knows.
        along_z: Whether sections count: a network that sees one at a time does not mind.

    Raises:
        InputError: The sizes are too far apart to be right.
    """
    sides = list(shape)
    for axis in range(0 if along_z else 1, 3):
        ratio = here[axis] / trained[axis]
        if not 1 / MOST_APART <= ratio <= MOST_APART:
            raise InputError(
                f"voxel_size_nm: expected voxels up to {MOST_APART:g} times those of "
                f"{list(trained)} nm that the model was trained on, got {list(here)}; check it"
            )
        if not is_alike(here[axis : axis + 1], trained[axis : axis + 1]):
            sides[axis] = max(1, round(shape[axis] * ratio))
    return sides[0], sides[1], sides[2]


class Resampled:
    """Another volume's sections at another shape, made when they are asked for."""

    def __init__(
        self, sections: Sections, shape: tuple[int, int, int], remembered: int = 8
    ) -> None:
        self._sections = sections
        self._weights = axis_weights(len(sections), shape[0])
        step = max(1, -(-len(sections) // shape[0]))
        self._most = (remembered + 1) * step + len(self._weights[0])
        self._recent: OrderedDict[int, np.ndarray] = OrderedDict()
        self.shape = shape
        # Grey values that lie far from 0 are told apart, as without resampling.
        self.dtype: np.dtype[Any] = np.result_type(sections.dtype, np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, where: Any, /) -> np.ndarray:
        """One section (y, x), or several of them (z, y, x)."""
        numbers = range(len(self))[where]
        if isinstance(numbers, range):
            return np.stack([self[number] for number in numbers])
        weights = self._weights[numbers]
        return _mix([(self._resized(source), weight) for source, weight in weights])

    def _resized(self, number: int) -> np.ndarray:
        if number not in self._recent:
            section = self._sections[number].astype(self.dtype)
            self._recent[number] = resize(section, self.shape[1:])
            if len(self._recent) > self._most:
                self._recent.popitem(last=False)
        self._recent.move_to_end(number)
        return self._recent[number]


def restore_sections(
    sections: Iterable[np.ndarray], count: int, shape: tuple[int, int, int], first: int
) -> Iterator[np.ndarray]:
    """Probabilities at the shape that the volume had, section by section.

    Args:
        sections: uint8 or float32 (y, x), the first of them is the first that section `first`
            needs. What comes back is of the same type.
        count: How many sections there are at the network's voxel size.
        shape: Of the volume, (z, y, x).
        first: The section to begin with.
    """
    weights = axis_weights(count, shape[0])
    arriving = iter(sections)
    known: dict[int, np.ndarray] = {}
    next_number = weights[first][0][0] if first < len(weights) else 0
    for needed in weights[first:]:
        while next_number <= needed[-1][0]:
            known[next_number] = resize(next(arriving), shape[1:])
            next_number += 1
        for number in [number for number in known if number < needed[0][0]]:
            del known[number]
        near = [(known[source], weight) for source, weight in needed]
        mixed, dtype = _mix(near), near[0][0].dtype
        yield mixed if dtype.kind == "f" else np.rint(mixed).astype(dtype)


def axis_weights(source: int, target: int) -> list[list[tuple[int, float]]]:
    """Which sections make each of `target` sections, in order, and how much they count.

    The mean of those it covers where there are fewer of them than before, a linear interpolation
    between the two nearest where there are more.
    """
    ratio = source / target
    if ratio > 1:
        return [_covered(number * ratio, (number + 1) * ratio, source) for number in range(target)]
    return [_between((number + 0.5) * ratio - 0.5, source) for number in range(target)]


def resize(section: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """A section (y, x) of another size: the mean where it shrinks, linear where it grows."""
    for axis in range(2):
        size = list(section.shape)
        if size[axis] != shape[axis]:
            how = cv2.INTER_AREA if shape[axis] < size[axis] else cv2.INTER_LINEAR
            size[axis] = shape[axis]
            section = cv2.resize(section, (size[1], size[0]), interpolation=how)
    return section


def _covered(start: float, stop: float, source: int) -> list[tuple[int, float]]:
    last = min(math.ceil(stop - 1e-9), source)
    shares = [
        (number, min(stop, number + 1) - max(start, number))
        for number in range(math.floor(start), last)
    ]
    total = sum(share for _, share in shares)
    return [(number, share / total) for number, share in shares]


def _between(place: float, source: int) -> list[tuple[int, float]]:
    place = min(max(place, 0.0), source - 1.0)
    below = math.floor(place)
    share = place - below
    if share < 1e-9 or below + 1 >= source:
        return [(below, 1.0)]
    return [(below, 1 - share), (below + 1, share)]


def _mix(parts: Sequence[tuple[np.ndarray, float]]) -> np.ndarray:
    if len(parts) == 1:
        return parts[0][0]
    first, _ = parts[0]
    mixed = np.zeros(first.shape, np.result_type(first, np.float32))
    for section, weight in parts:
        mixed += mixed.dtype.type(weight) * section
    return mixed
