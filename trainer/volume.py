"""A volume: grey values and the mask that belongs to them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from trainer.errors import InputError
from trainer.shape import shown
from trainer.stack import Stack, read_stack
from trainer.voxel_size import LONGEST_NM, SHORTEST_NM, VoxelSize, is_length

# Types that a volume keeps as they come; the others become float32.
_KEPT = (np.uint8, np.uint16, np.float32)
# Fewer steps from the smallest to the largest value are no picture.
_LEAST_STEPS = 256


@dataclass(frozen=True, eq=False)
class Volume:
    """What a U-Net is trained and scored on.

    Attributes:
        raw: grey values, (z, y, x), uint8, uint16 or float32.
        mask: 1 for foreground, 0 for background, (z, y, x), uint8.
        voxel_size_nm: edges of a voxel, z, y, x, or None where nobody said.
        notes: sentences for the user on how the files were read.
    """

    raw: np.ndarray
    mask: np.ndarray
    voxel_size_nm: VoxelSize | None
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Fingerprint of values, shape and type of raw and mask."""
        return self._fingerprints[1]

    @property
    def raw_sha256(self) -> str:
        """The same of raw alone: a mask that was corrected makes it no other volume."""
        return self._fingerprints[0]

    @cached_property
    def _fingerprints(self) -> list[str]:
        """Of raw, and of raw and mask."""
        digest, found = hashlib.sha256(), []
        for array in (self.raw, self.mask):
            digest.update(f"{array.shape} {array.dtype.str}".encode())
            for section in array:
                digest.update(np.ascontiguousarray(section).data)
            found.append(digest.hexdigest())
        return found


def load_volume(raw: Path, mask: Path, voxel_size_nm: Sequence[float] | None = None) -> Volume:
    """Read a raw stack and its mask.

    Args:
        raw: TIFF, folder of PNGs, OME-Zarr or HDF5 file with the grey values.
        mask: the same for the mask; every value but 0 is foreground.
        voxel_size_nm: edges of a voxel, z, y, x; wins over what the files say.

    Raises:
        InputError: one line that names the file and says what is wrong with it.
    """
    given = None if voxel_size_nm is None else checked_voxel_size(voxel_size_nm)
    values = read_stack(raw, role="raw")
    labels = read_stack(mask, role="mask")
    if values.array.shape != labels.array.shape:
        raise InputError(
            f"raw {raw} is {shown(values.array.shape)} and mask {mask} is "
            f"{shown(labels.array.shape)} (z x y x x); both must have the same shape"
        )
    foreground = (labels.array != 0).view(np.uint8)
    _check_foreground(foreground, mask)
    return Volume(
        _as_raw(values.array),
        foreground,
        given or values.voxel_size_nm or labels.voxel_size_nm,
        (*_notes_on_labels(labels.array, mask), *_notes_on_sizes(values, labels, given)),
    )


def load_raw(raw: Path, voxel_size_nm: Sequence[float] | None = None) -> Stack:
    """Read a raw stack that has no mask, with the type of a volume's grey values.

    Args:
        raw: as for `load_volume`.
        voxel_size_nm: edges of a voxel, z, y, x; wins over what the file says.

    Raises:
        InputError: one line that names the file and says what is wrong with it.
    """
    given = None if voxel_size_nm is None else checked_voxel_size(voxel_size_nm)
    values = read_stack(raw, role="raw")
    return Stack(_as_raw(values.array), given or values.voxel_size_nm)


def checked_voxel_size(voxel_size_nm: Sequence[float]) -> VoxelSize:
    """The edges of a voxel as they were given.

    Raises:
        InputError: They are no three numbers that edges can have.
    """
    sizes = tuple(voxel_size_nm)
    if len(sizes) != 3 or not all(_is_length(size) for size in sizes):
        raise InputError(
            f"voxel_size_nm: expected three numbers from {SHORTEST_NM:g} to {LONGEST_NM:g}, "
            f"z, y, x in nm, got {list(sizes)}"
        )
    return (float(sizes[0]), float(sizes[1]), float(sizes[2]))


def _is_length(size: object) -> bool:
    return isinstance(size, int | float) and is_length(size)


def _as_raw(array: np.ndarray) -> np.ndarray:
    """Return the array in native byte order and as a type that a volume keeps."""
    native = array.dtype.newbyteorder("=")
    if native in _KEPT:
        return np.ascontiguousarray(array, dtype=native)
    low, high = float(array.min()), float(array.max())
    if 0 < high - low < _LEAST_STEPS * float(np.spacing(np.float32(max(abs(low), abs(high))))):
        raise InputError(
            f"raw: expected grey values that 32-bit floats can tell apart, got {low:g} to "
            f"{high:g}; subtract the smallest value"
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def _check_foreground(foreground: np.ndarray, path: Path) -> None:
    count = np.count_nonzero(foreground)
    if count == 0:
        raise InputError(
            f"mask {path}: is empty, every value is 0; values other than 0 mark the foreground"
        )
    if count == foreground.size:
        raise InputError(f"mask {path}: is all foreground, no value is 0; background has to be 0")


def _notes_on_labels(labels: np.ndarray, path: Path) -> tuple[str, ...]:
    values = set().union(*(np.unique(section).tolist() for section in labels))
    if len(values) == 2:
        return ()
    return (
        f"mask {path} holds {len(values)} values: read as instance labels, "
        "every value but 0 is foreground",
    )


def _notes_on_sizes(raw: Stack, mask: Stack, given: VoxelSize | None) -> tuple[str, ...]:
    sizes = (raw.voxel_size_nm, mask.voxel_size_nm)
    if given or None in sizes or sizes[0] == sizes[1]:
        return ()
    return (f"raw says voxels of {sizes[0]} nm and mask of {sizes[1]} nm: the raw's size is used",)
