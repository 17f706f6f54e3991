"""A stack of sections in one TIFF file, with damage found before memory is spent on it."""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile

from trainer.errors import InputError
from trainer.memory import check_memory, check_ratio
from trainer.shape import shown
from trainer.source import Reader
from trainer.tiff_channels import is_of_channels
from trainer.voxel_size import read_voxel_size

# tifffile tells about damage in log lines; what matters of it is checked here and said once.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

# TIFF compression code -> how many times its own length it can hold at best; others: no bound.
_MOST = {1: 1.0, 5: 3000.0, 8: 1100.0, 32773: 128.0, 32946: 1100.0}
# Version number -> where the first offset stands, its format, that of a tag count, bytes of a tag.
_LAYOUTS = {42: (4, "I", "H", 12), 43: (8, "Q", "Q", 20)}
_TRUNCATED = "it is truncated: copy or export it again"
_EXPECTED = "a multi-page TIFF or a folder of PNG sections is expected"


class TiffReader(Reader):
    """Sections of a TIFF, BigTIFF, OME-TIFF or ImageJ TIFF, page by page."""

    def __init__(self, path: Path) -> None:
        """Looks through the headers of an existing file.

        Raises:
            InputError: What is wrong with the file, without its name.
        """
        _check_pages(path)
        self._tiff = tifffile.TiffFile(path)
        try:
            self._series = list(self._tiff.series)
            self.shape, self.dtype = _describe(self._tiff, self._series)
            self._pages = _pages(self._series, self.shape)
            for file in _other_files(self._tiff, self._series):
                file.open()  # tifffile has closed them
            self._whole: np.ndarray | None = None
            self.voxel_size_nm = read_voxel_size(self._tiff)
        except BaseException:
            self._tiff.close()
            raise

    def read(self, first: int, stop: int) -> np.ndarray:
        """Sections from `first` up to but not with `stop`, (z, y, x)."""
        one = len(self._series) == 1 and not self._series[0].is_multifile
        offset = self._series[0].dataoffset if one else None
        if offset is not None:
            return self._read_contiguous(offset, first, stop)
        if self._pages is None:
            return self._read_whole()[first:stop]
        sections = np.empty((stop - first, *self.shape[1:]), self.dtype)
        for index, page in enumerate(self._pages[first:stop]):
            sections[index] = page.asarray().reshape(self.shape[1:])
        return sections

    def close(self) -> None:
        """Lets go of the file, and of those that it is continued in."""
        for file in _other_files(self._tiff, self._series):
            file.close()
        self._tiff.close()

    def _read_contiguous(self, offset: int, first: int, stop: int) -> np.ndarray:
        """Sections that lie in the file as they lie in memory."""
        voxels, dtype = math.prod(self.shape[1:]), self.dtype
        file = self._tiff.filehandle
        file.seek(offset + first * voxels * dtype.itemsize)
        values = file.read_array(dtype, count=(stop - first) * voxels)
        return np.asarray(values).reshape(stop - first, *self.shape[1:])

    def _read_whole(self) -> np.ndarray:
        """A layout that has no page for each section, such as tiles with a depth."""
        if self._whole is None:
            check_memory(math.prod(self.shape) * self.dtype.itemsize)
            self._whole = self._series[0].asarray().reshape(self.shape)
        return self._whole


def _check_pages(path: Path) -> None:
    """Walk the chain of pages from its head to its end, which a truncated file does not reach."""
    size = path.stat().st_size
    with path.open("rb") as file:
        order = {b"II": "<", b"MM": ">"}.get(file.read(2), "")
        version = _unpack(file, f"{order}H") if order else 0
        if version not in _LAYOUTS:
            raise InputError(f"is not a TIFF; {_EXPECTED}")
        first, offset_format, count_format, tag_bytes = _LAYOUTS[version]
        file.seek(first)
        offset = _unpack(file, order + offset_format)
        seen: set[int] = set()
        while offset:
            if offset >= size or offset in seen:
                raise InputError(f"page {len(seen) + 1} lies outside the file; {_TRUNCATED}")
            seen.add(offset)
            file.seek(offset)
            tags = _unpack(file, order + count_format)
            file.seek(min(tags * tag_bytes, size), 1)
            offset = _unpack(file, order + offset_format)
    if not seen:
        raise InputError(f"is a TIFF without a page; {_EXPECTED}")


def _unpack(file: BinaryIO, layout: str) -> int:
    data = file.read(struct.calcsize(layout))
    if len(data) < struct.calcsize(layout):
        raise InputError(f"ends inside its list of pages; {_TRUNCATED}")
    return int(struct.unpack(layout, data)[0])


def _describe(
    tiff: tifffile.TiffFile, series: Sequence[tifffile.TiffPageSeries]
) -> tuple[tuple[int, int, int], np.dtype[Any]]:
    """Shape (z, y, x) and type, as the header claims them and the file can hold them."""
    if not series:
        raise InputError(f"holds no image; {_EXPECTED}")
    missing = sum(page is None for image in series for page in image.pages)
    if missing:
        raise InputError(
            f"lists {missing} sections that are neither in it nor in the files beside it: save "
            "those that are there as one stack, or copy the other files too"
        )
    kinds = {(image.shape, str(image.dtype)) for image in series}
    if len(kinds) > 1:
        shapes = " and ".join(sorted({shown(image.shape) for image in series})[:3])
        raise InputError(
            f"holds pages of different shapes or types ({shapes}); "
            "one stack of equal sections is expected"
        )
    # A writer that was given one section at a time leaves a series of one page for each.
    axes, shape = series[0].axes, series[0].shape
    if len(series) > 1:
        axes, shape = f"Z{axes}", (len(series), *shape)
    volume = _section_shape(axes, shape)
    _check_channels(tiff, axes, shape)
    _check_size(tiff, _stored_bytes(tiff, series), volume, series[0].dtype)
    # Contiguous values are read as they are stored, pages in the byte order of this machine.
    return volume, np.dtype(tiff.byteorder + series[0].dtype.char)


def _pages(
    series: Sequence[tifffile.TiffPageSeries], shape: tuple[int, int, int]
) -> list[Any] | None:
    """A page for each section, or None where the file is laid out in another way."""
    pages = [page for image in series for page in image.pages]
    usual = len(pages) == shape[0] and all(
        page is not None and math.prod(page.shape) == math.prod(shape[1:]) for page in pages
    )
    return pages if usual else None


def _section_shape(axes: str, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the shape (z, y, x) that an image with these axes has, or say why it has none."""
    if 0 in shape:
        raise InputError(f"is an image of size zero ({shown(shape)}); {_EXPECTED}")
    samples = [length for axis, length in zip(axes, shape, strict=True) if axis == "S"]
    if math.prod(samples) > 1:
        raise InputError(
            f"is an RGB or RGBA image ({shown(shape)}); save it with one grey value per pixel"
        )
    kept = _kept(axes, shape)
    if len(kept) > 3:
        raise InputError(
            f"has {len(kept)} axes, {_named(kept)}; three are expected, z, y, x: "
            "save one channel and one time point alone"
        )
    if [axis for axis, _ in kept[-2:]] != ["Y", "X"]:
        raise InputError(f"has the axes {_named(kept)}; z, y, x in that order are expected")
    height, width = kept[-2][1], kept[-1][1]
    return (kept[0][1] if len(kept) == 3 else 1, height, width)


def _check_channels(tiff: tifffile.TiffFile, axes: str, shape: tuple[int, ...]) -> None:
    kept = _kept(axes, shape)
    if is_of_channels(tiff, "".join(axis for axis, _ in kept)):
        raise InputError(
            f"has the axes {_named(kept)}; z, y, x are expected: save one channel alone"
        )


def _kept(axes: str, shape: tuple[int, ...]) -> list[tuple[str, int]]:
    """The axes that count."""
    return [(a, n) for a, n in zip(axes, shape, strict=True) if n > 1 or a in "YX"]


def _stored_bytes(tiff: tifffile.TiffFile, series: Sequence[tifffile.TiffPageSeries]) -> int:
    """Of all files that the sections are spread over."""
    return int(tiff.filehandle.size) + sum(file.size for file in _other_files(tiff, series))


def _other_files(
    tiff: tifffile.TiffFile, series: Sequence[tifffile.TiffPageSeries]
) -> list[tifffile.FileHandle]:
    """Those that sections lie in beside the one that names them."""
    several = [image for image in series if image.is_multifile]
    pages = [page for image in several for page in image.pages if page is not None]
    files = {page.parent.filehandle.path: page.parent.filehandle for page in pages}
    return [file for path, file in files.items() if path != tiff.filehandle.path]


def _check_size(tiff: tifffile.TiffFile, stored: int, shape: tuple[int, ...], dtype: Any) -> None:
    if dtype is None:
        raise InputError(f"holds pixels of a type that cannot be read; {_EXPECTED}")
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    size = tiff.filehandle.size
    first = tiff.pages.first
    # Pixels of 1 or 12 bits take whole bytes once they are unpacked.
    unpacked = np.dtype(dtype).itemsize * 8 / max(1, first.bitspersample)
    check_ratio(nbytes, stored, unpacked * _MOST.get(int(first.compression), math.inf))
    for number, page in enumerate(tiff.pages, start=1):
        ends = (o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False))
        if max(ends, default=0) > size:
            raise InputError(f"the pixels of page {number} lie outside the file; {_TRUNCATED}")


def _named(axes: list[tuple[str, int]]) -> str:
    return ", ".join(f"{axis.lower()} = {length}" for axis, length in axes)
