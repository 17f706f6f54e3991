"""A stack of sections in a folder of PNG files."""

from __future__ import annotations

import re
import struct
import warnings
from pathlib import Path

import imageio.v3 as imageio
import numpy as np

from trainer.errors import InputError
from trainer.memory import check_memory, check_ratio

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY = 0
_DEFLATE_AT_BEST = 1100


def read_png_folder(folder: Path) -> np.ndarray:
    """Read a folder of PNG sections, `s2.png` before `s10.png`, as an array (z, y, x).

    Raises:
        InputError: what is wrong with the folder, without its name.
    """
    paths = sorted(_sections_in(folder), key=_natural)
    if not paths:
        raise InputError("is a folder without PNG files; a multi-page TIFF or PNGs are expected")
    if len(paths) == 1:
        raise InputError("holds one PNG where a stack is needed; put every section in the folder")
    kinds = [_read_header(path) for path in paths]
    odd = next((number for number, kind in enumerate(kinds) if kind != kinds[0]), None)
    if odd is not None:
        raise InputError(
            f"{paths[0].name} is {_shown(*kinds[0])} and {paths[odd].name} is "
            f"{_shown(*kinds[odd])}; all sections must be of one size and type"
        )
    height, width, bits = kinds[0]
    dtype = np.dtype({1: np.bool_, 16: np.uint16}.get(bits, np.uint8))
    check_memory(len(paths) * height * width * dtype.itemsize)
    sections = np.empty((len(paths), height, width), dtype)  # (z, y, x)
    for number, path in enumerate(paths):
        sections[number] = _read_section(path)
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
