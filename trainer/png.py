"""A stack of sections in a folder of PNG files."""

from __future__ import annotations

import re
import struct
import warnings
from pathlib import Path

import imageio.v3 as imageio
import numpy as np

from trainer.errors import InputError
from trainer.memory import check_ratio
from trainer.source import Reader

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY = 0
_DEFLATE_AT_BEST = 1100


class PngReader(Reader):
    """Sections of a folder of PNG files, `s2.png` before `s10.png`."""

    def __init__(self, folder: Path) -> None:
        """Looks at the header of every section.

        Raises:
            InputError: What is wrong with the folder, without its name.
        """
        self._paths = paths = sorted(_sections_in(folder), key=_natural)
        if not paths:
            raise InputError(
                "is a folder without PNG files; a multi-page TIFF, PNGs, an OME-Zarr or an "
                "HDF5 file are expected"
            )
        kinds = [_read_header(path) for path in paths]
        odd = next((number for number, kind in enumerate(kinds) if kind != kinds[0]), None)
        if odd is not None:
            raise InputError(
                f"{paths[0].name} is {_shown(*kinds[0])} and {paths[odd].name} is "
                f"{_shown(*kinds[odd])}; all sections must be of one size and type"
            )
        height, width, bits = kinds[0]
        if height == 0 or width == 0:
            raise InputError(f"{paths[0].name} is an image of size zero; export it again")
        self.dtype = np.dtype({1: np.bool_, 16: np.uint16}.get(bits, np.uint8))
        self.shape = (len(paths), height, width)

    def read(self, first: int, stop: int) -> np.ndarray:
        """Sections from `first` up to but not with `stop`, (z, y, x)."""
        sections = np.empty((stop - first, *self.shape[1:]), self.dtype)
        for index, path in enumerate(self._paths[first:stop]):
            section = _read_section(path)
            if section.shape != self.shape[1:]:
                raise InputError(f"{path.name} is damaged: export it again")
            sections[index] = section
        return sections


def _sections_in(folder: Path) -> list[Path]:
    """Return its PNGs without the hidden twins that macOS leaves beside files it copies."""
    return [
        path
        for path in folder.iterdir()
        if path.suffix.lower() == ".png" and not path.name.startswith(".") and path.is_file()
    ]


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"([0-9]+)|([^0-9]+)", path.name)
    # Digits sort before text, and by their value.
    return [(int(digits or -1), text) for digits, text in parts], path.name


def _read_header(path: Path) -> tuple[int, int, int]:
    """Return height, width and bits per pixel, before anything is unpacked."""
    with path.open("rb") as file:
        head = file.read(26)
    if len(head) < 26 or not head.startswith(_SIGNATURE):
        raise InputError(f"{path.name} is not a PNG: export it again")
    width, height, bits, colour = struct.unpack(">IIBB", head[16:])
    if colour != _GREY:
        raise InputError(
            f"{path.name} is a colour image (RGB, RGBA, a palette or an alpha channel); "
            "save it with one grey value per pixel"
        )
    check_ratio(height * width * bits // 8, path.stat().st_size, _DEFLATE_AT_BEST)
    return height, width, bits


def _read_section(path: Path) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images; their size has been checked against the file's length.
            warnings.simplefilter("ignore")
            section: np.ndarray = imageio.imread(path.read_bytes(), plugin="pillow")
    except (InputError, MemoryError):
        raise
    except Exception as error:
        # A damaged file can make a decoder raise anything; for its owner it is all one.
        cause = str(error).split("\n")[0][:120]
        raise InputError(f"{path.name} is damaged ({cause}): export it again") from error
    return section


def _shown(height: int, width: int, bits: int) -> str:
    return f"{height} x {width} of {bits} bits"
