"""Sections of an array in chunks, as zarr and HDF5 hold it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.errors import InputError
from trainer.memory import check_memory
from trainer.shape import shown
from trainer.source import Reader
from trainer.voxel_size import VoxelSize


class ChunkedReader(Reader):
    """Sections of a zarr array or an HDF5 data set."""

    def __init__(self, array: Any, axes: Sequence[str], voxel_size_nm: VoxelSize | None) -> None:
        """Checks what the array is.

        Args:
            array: With shape, type and chunks, and slices of it on demand.
            axes: Their names in order, z, y and x among them, or y and x for one section.
            voxel_size_nm: Edges of a voxel, z, y, x, or None.

        Raises:
            InputError: It is no stack of sections, without its name.
        """
        self._array = array
        self._index = _kept_axes(axes, array.shape)
        lengths = dict(zip(axes, array.shape, strict=True))
        self.shape = (int(lengths.get("z", 1)), int(lengths["y"]), int(lengths["x"]))
        self.dtype = np.dtype(array.dtype)
        self.voxel_size_nm = voxel_size_nm
        chunks = array.chunks or (1,) * len(axes)
        check_memory(math.prod(map(int, chunks)) * self.dtype.itemsize)
        self.depth = int(dict(zip(axes, chunks, strict=True)).get("z", 1))

    def read(self, first: int, stop: int) -> np.ndarray:
        """Sections from `first` up to but not with `stop`, (z, y, x)."""
        index = tuple(slice(first, stop) if axis == "z" else axis for axis in self._index)
        block: np.ndarray = np.asarray(self._array[index])
        return block.reshape(stop - first, *self.shape[1:])


def stack_axes(shape: Sequence[int]) -> list[str]:
    """Names the axes of an array that does not name its own: the long ones are z, y and x.

    Raises:
        InputError: It has no three axes, or more.
    """
    if len(shape) == 3:
        return ["z", "y", "x"]
    if len(shape) == 2:
        return ["y", "x"]
    names, spare = ["-"] * len(shape), len(shape) - 3
    for axis, length in enumerate(shape):
        if length == 1 and spare > 0:
            spare -= 1
        else:
            names[axis] = "*"
    if spare != 0 or names.count("*") != 3:
        raise InputError(
            f"has {len(shape)} axes ({shown(shape)}); three are expected, z, y, x: "
            "save one channel and one time point alone"
        )
    letters = iter("zyx")
    return [next(letters) if name == "*" else name for name in names]


def _kept_axes(axes: Sequence[str], shape: Sequence[int]) -> list[Any]:
    """What to ask the array for: "z" stands for the sections, the others are said already."""
    if len(axes) != len(shape):
        raise InputError(f"names {len(axes)} axes for an array of {len(shape)}; export it again")
    if 0 in shape:
        raise InputError(f"is an image of size zero ({shown(shape)}); sections are expected")
    for axis, length in zip(axes, shape, strict=True):
        if axis not in ("z", "y", "x") and length > 1:
            raise InputError(
                f"has {length} along {axis} ({shown(shape)}); "
                "save one channel and one time point alone"
            )
    if [axis for axis in axes if axis in ("z", "y", "x")] not in (["z", "y", "x"], ["y", "x"]):
        raise InputError(f"has the axes {', '.join(axes)}; z, y, x in that order are expected")
    whole = {"z": "z", "y": slice(None), "x": slice(None)}
    return [whole.get(axis, 0) for axis in axes]
