"""The reader of each format, found by what a path holds."""

from __future__ import annotations

import re
from pathlib import Path

from trainer.errors import InputError
from trainer.hdf5_volume import Hdf5Reader, is_hdf5
from trainer.png import PngReader
from trainer.source import Reader, Source, named
from trainer.tiff import TiffReader
from trainer.zarr_volume import ZarrReader, is_zarr

_INSIDE = re.compile(r"(.+\.(?:h5|hdf5|hdf|he5)):(/.*)", re.IGNORECASE)


def open_source(path: Path, *, role: str = "raw") -> Source:
    """Opens a volume without reading it.

    Args:
        path: A TIFF (also BigTIFF, OME-TIFF, ImageJ TIFF), a folder of PNG sections, an OME-Zarr
            of version 0.1 to 0.5 or another zarr array, or an HDF5 file; `file.h5:/name` says which
            of several data sets is meant.
        role: "raw", "mask" or "volume": what it is for, which the messages say.

    Raises:
        InputError: One line, naming the file, on anything that is not a stack of grey values.
    """
    with named(path, role):
        reader = _reader(path, role)
    try:
        return Source(path, role, reader)
    except BaseException:
        reader.close()
        raise


def locate(path: Path) -> tuple[Path, str | None]:
    """The file or folder of a volume, and the name of its data set where the path has one."""
    inside = _INSIDE.fullmatch(str(path))
    return (Path(inside[1]), inside[2]) if inside and not path.exists() else (path, None)


def _reader(path: Path, role: str) -> Reader:
    path, name = locate(path)
    if not path.exists():
        how = (
            "check its name"
            if role == "volume"
            else f"name it as {role} under [data] or by --{role}"
        )
        raise InputError(f"no such file; {how}")
    if path.is_dir():
        return ZarrReader(path) if is_zarr(path) else PngReader(path)
    if not path.is_file():
        raise InputError("is neither a file nor a folder; name a TIFF or a folder of PNGs")
    if is_hdf5(path):
        return Hdf5Reader(path, name)
    return TiffReader(path)
