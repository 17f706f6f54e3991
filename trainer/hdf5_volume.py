"""A stack of sections in an HDF5 file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from trainer.chunked import ChunkedReader, stack_axes
from trainer.errors import InputError
from trainer.shape import shown
from trainer.voxel_size import VoxelSize, length_nm

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_KINDS = "uifb"
_SHOWN = 8


def is_hdf5(path: Path) -> bool:
    """Whether the file begins as HDF5 does."""
    with path.open("rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


class Hdf5Reader(ChunkedReader):
    """Sections of one data set of an HDF5 file."""

    def __init__(self, path: Path, name: str | None) -> None:
        """Opens the data set of that name, or the only one.

        Raises:
            InputError: There is none, or there are several, without the name of the file.
        """
        self._file = h5py.File(path, "r")
        try:
            data = _find(self._file, path, name)
            if data.external or data.is_virtual:
                raise InputError("keeps its values in other files; save them in one file")
            axes = stack_axes(data.shape)
            super().__init__(data, axes, _voxel_size(data.attrs))
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()


def _find(file: Any, path: Path, name: str | None) -> Any:
    found = _data_sets(file)
    if name is not None:
        wanted = {each.name: each for each in found}.get("/" + name.strip("/"))
        if wanted is None:
            raise InputError(f"has no images named {name}; it holds {_listed(found)}")
        return wanted
    if len(found) != 1:
        advice = f"; name one of them, as in {path.name}:{found[0].name}" if found else ""
        raise InputError(f"holds {_listed(found)} where one stack of sections is expected{advice}")
    return found[0]


def _data_sets(file: Any) -> list[Any]:
    """Everything that could be a stack; links to other files are not followed."""
    found: list[Any] = []

    def look(_: str, each: Any) -> None:
        numbers = isinstance(each, h5py.Dataset) and each.dtype.kind in _KINDS
        if numbers and each.shape is not None and len(each.shape) >= 2:
            found.append(each)

    file.visititems(look)
    return found


def _listed(found: Sequence[Any]) -> str:
    names = [f"{each.name} ({shown(each.shape)} {each.dtype})" for each in found[:_SHOWN]]
    more = [f"{len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return ", ".join(names + more) or "no images"


def _voxel_size(attributes: Any) -> VoxelSize | None:
    """As ilastik and the HDF5 plugin of ImageJ write it (um), or the CREMI challenge (nm)."""
    for key, unit in (("element_size_um", "um"), ("resolution", "nm")):
        if key in attributes:
            values = np.asarray(attributes[key]).ravel().tolist()
            lengths = [length_nm(value, unit) for value in values]
            known = [length for length in lengths if length is not None]
            if len(known) == len(lengths) == 3:
                return (known[0], known[1], known[2])
    return None
