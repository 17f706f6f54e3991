"""Image stacks: the grey values or labels of consecutive sections in one array."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainer.errors import InputError
from trainer.formats import open_source
from trainer.sections import Stream
from trainer.tiff_writer import write_tiff
from trainer.voxel_size import VoxelSize


@dataclass(frozen=True, eq=False)
class Stack:
    """Sections of one image.

    Attributes:
        array: the values as they are stored, (z, y, x).
        voxel_size_nm: edges of a voxel, z, y, x, or None where the file does not say.
    """

    array: np.ndarray
    voxel_size_nm: VoxelSize | None


def read_stack(path: Path, *, role: str) -> Stack:
    """Read a stack of sections of any format that `open_source` knows.

    Args:
        path: the file or the folder.
        role: "raw" or "mask": what the stack is for, which the messages say.

    Raises:
        InputError: one line, naming the file, on anything that is not a stack of grey values.
    """
    with open_source(path, role=role) as source:
        if len(source) == 1:
            height, width = source.shape[1:]
            raise InputError(
                f"{role} {path}: holds one section ({height} x {width}) where a stack is needed; "
                "a multi-page TIFF, a folder of PNG sections, an OME-Zarr or HDF5 is expected"
            )
        return Stack(source.load(), source.voxel_size_nm)


def write_stack(path: Path, array: np.ndarray, voxel_size_nm: VoxelSize | None) -> None:
    """Write an array (z, y, x) as a compressed TIFF that `read_stack` reads back.

    The file appears whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    values = array.view(np.uint8) if array.dtype == bool else array
    z, y, x = values.shape
    try:
        try:
            write_tiff(partial, Stream(iter(values), (z, y, x), values.dtype), voxel_size_nm)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
