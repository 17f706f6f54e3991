"""Image stacks: the grey values or labels of consecutive sections in one array."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from trainer.errors import InputError
from trainer.png import read_png_folder
from trainer.tiff import read_tiff
from trainer.voxel_size import VoxelSize

_NM_PER_CM = 1e7
# Differences and squares of intensities still fit into float32.
_LARGEST = 1e18
# Kinds of numpy types: unsigned, signed, float; a mask may be of truth values as well.
_KINDS = {"raw": "uif", "mask": "uifb"}
# A classic TIFF cannot count further than 4 GB; half of it leaves room for what does not compress.
_CLASSIC_TIFF_BYTES = 2**31


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
    """Read a multi-page TIFF (also BigTIFF, OME-TIFF, ImageJ TIFF) or a folder of PNG sections.

    Args:
        path: the file or the folder.
        role: "raw" or "mask": what the stack is for, which the messages say.

    Raises:
        InputError: one line, naming the file, on anything that is not a stack of grey values.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise InputError("is neither a file nor a folder; name a TIFF or a folder of PNGs")
        array, voxel_size_nm = _read(path, role)
        _check_values(array, role)
    except InputError as error:
        raise InputError(f"{role} {path}: {error}") from error
    except OSError as error:
        cause = error.strerror or str(error).split("\n")[0]
        raise InputError(f"{role} {path}: cannot be read: {cause}") from error
    except MemoryError as error:
        raise InputError(f"{role} {path}: does not fit into the memory that is free") from error
    return Stack(array, voxel_size_nm)


def write_stack(path: Path, array: np.ndarray, voxel_size_nm: VoxelSize | None) -> None:
    """Write an array (z, y, x) as a compressed TIFF that `read_stack` reads back.

    The file appears whole or not at all. The voxel size stands in its description, and the one in
    the plane in the resolution tags too, for programs that read only those.

    Raises:
        InputError: the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        try:
            _write(partial, array.view(np.uint8) if array.dtype == bool else array, voxel_size_nm)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error


def _read(path: Path, role: str) -> tuple[np.ndarray, VoxelSize | None]:
    if path.is_dir():
        return read_png_folder(path), None
    if not path.exists():
        raise InputError(f"no such file; name it as {role} under [data] or by --{role}")
    return read_tiff(path)


def _check_values(array: np.ndarray, role: str) -> None:
    if array.dtype.kind not in _KINDS[role]:
        raise InputError(
            f"holds values of type {array.dtype}; integers of 8 to 32 bits or floats are expected"
        )
    if array.dtype.kind != "f":
        return
    for number, section in enumerate(array):
        # False for NaN as well.
        if not float(np.abs(section).max()) <= _LARGEST:
            raise InputError(
                f"section {number} holds NaN, infinite or huge values; replace them by finite ones"
            )


def _write(path: Path, array: np.ndarray, voxel_size_nm: VoxelSize | None) -> None:
    described: dict[str, object] = {"axes": "ZYX"}
    per_centimeter = None
    if voxel_size_nm is not None:
        described["spacing_nm"] = list(voxel_size_nm)
        per_centimeter = (_NM_PER_CM / voxel_size_nm[2], _NM_PER_CM / voxel_size_nm[1])
    tifffile.imwrite(
        path,
        array,
        bigtiff=array.nbytes > _CLASSIC_TIFF_BYTES,
        ome=False,
        photometric="minisblack",
        compression="zlib",
        resolution=per_centimeter,
        resolutionunit="CENTIMETER" if per_centimeter else None,
        metadata=described,
    )
