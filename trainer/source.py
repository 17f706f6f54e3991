"""A stack of sections that is read from its file as it is needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from trainer.errors import InputError
from trainer.memory import check_memory, free_memory
from trainer.voxel_size import VoxelSize

# Differences and squares of intensities still fit into float32.
_LARGEST = 1e18
# Kinds of numpy types: unsigned, signed, float; a mask may be of truth values as well.
_KINDS = {"raw": "uif", "mask": "uifb", "volume": "uif"}
_REMEMBERED = 8
_BLOCK_BYTES = 128_000_000
# Up to two blocks are remembered while a third one is read.
_SHARE_OF_FREE = 0.1


class Reader(ABC):
    """One format's way to read sections.

    Attributes:
        shape: Of the volume, (z, y, x).
        dtype: Of the values as they are stored.
        voxel_size_nm: Edges of a voxel, z, y, x, or None where the file does not say.
        depth: Sections that are stored together, and best read together.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    voxel_size_nm: VoxelSize | None = None
    depth: int = 1

    @abstractmethod
    def read(self, first: int, stop: int) -> np.ndarray:
        """Sections from `first` up to but not with `stop`, (z, y, x)."""

    def close(self) -> None:  # noqa: B027 - what holds no file has nothing to close
        """Lets go of the file."""


class Source:
    """Sections by their number, as an array (z, y, x) gives them, but read when they are asked for.

    The last few are remembered, so that sections with their neighbours are read once.
    """

    def __init__(self, path: Path, role: str, reader: Reader) -> None:
        self._path, self._role, self._reader = path, role, reader
        self._section_bytes = reader.shape[1] * reader.shape[2] * reader.dtype.itemsize
        self._remembered = _REMEMBERED
        self._block = _block(reader.depth, self._section_bytes)
        self._blocks: OrderedDict[int, np.ndarray] = OrderedDict()
        with named(path, role):
            _check_kind(reader.dtype, role)
            self._check_memory()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, where: int | slice) -> np.ndarray:
        """One section (y, x), or several of them (z, y, x)."""
        if isinstance(where, slice):
            numbers = range(*where.indices(len(self)))
            sections = np.empty((len(numbers), *self.shape[1:]), self.dtype)
            for index, number in enumerate(numbers):
                sections[index] = self[number]
            return sections
        number = range(len(self))[where]
        first = number - number % self._block
        if first not in self._blocks:
            self._blocks[first] = self._read(first, min(first + self._block, len(self)))
        self._blocks.move_to_end(first)
        while len(self._blocks) > 1 + -(-self._remembered // self._block):
            self._blocks.popitem(last=False)
        section: np.ndarray = self._blocks[first][number - first]
        return section

    def remember(self, sections: int) -> None:
        """Keeps so many of the last sections at least, for one who comes back to them.

        Raises:
            InputError: There is no memory for them.
        """
        self._remembered = max(self._remembered, sections)
        with named(self._path, self._role):
            self._check_memory()

    def _check_memory(self) -> None:
        check_memory((self._remembered + self._block) * self._section_bytes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the volume, (z, y, x)."""
        return self._reader.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values, in the byte order of this machine."""
        return self._reader.dtype.newbyteorder("=")

    @property
    def voxel_size_nm(self) -> VoxelSize | None:
        """Edges of a voxel, z, y, x, or None where the file does not say."""
        return self._reader.voxel_size_nm

    def close(self) -> None:
        """Lets go of the file."""
        self._blocks.clear()
        self._reader.close()

    def load(self) -> np.ndarray:
        """The whole volume, (z, y, x).

        Raises:
            InputError: It does not fit into memory, or holds what is no grey value.
        """
        with named(self._path, self._role):
            check_memory(int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize)
            volume = np.empty(self.shape, self.dtype)
        for first in range(0, len(self), self._block):
            stop = min(first + self._block, len(self))
            volume[first:stop] = self._read(first, stop)
        return volume

    def _read(self, first: int, stop: int) -> np.ndarray:
        with named(self._path, self._role):
            block = np.asarray(self._reader.read(first, stop))
            if block.shape != (stop - first, *self.shape[1:]):
                raise InputError("gives sections of another size than its header says")
            for number, section in enumerate(block, start=first):
                check_section(section, number)
        return block.astype(self.dtype, copy=False)


def _block(depth: int, section_bytes: int) -> int:
    """Sections to read together: those stored together, or an even part that memory allows.

    Whatever is stored together is unpacked once for each part.
    """
    most = max(_BLOCK_BYTES, int(_SHARE_OF_FREE * free_memory())) // section_bytes
    parts = -(-depth // max(1, most))
    return -(-depth // parts)


@contextmanager
def named(path: Path, role: str) -> Iterator[None]:
    """Says in one line, with the name of the file, whatever goes wrong while it is read.

    Raises:
        InputError: Anything went wrong.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{role} {path}: {error}") from error
    except OSError as error:
        cause = error.strerror or str(error).split("\n")[0]
        raise InputError(f"{role} {path}: cannot be read: {cause}") from error
    except MemoryError as error:
        raise InputError(f"{role} {path}: does not fit into the memory that is free") from error
    except Exception as error:
        # A damaged file can make a decoder raise anything; for its owner it is all one.
        cause = f"{type(error).__name__} {error}".split("\n")[0][:120].strip()
        raise InputError(f"{role} {path}: is damaged ({cause}): copy or export it again") from error


def _check_kind(dtype: np.dtype[Any], role: str) -> None:
    if dtype.kind not in _KINDS[role] or dtype.itemsize > 8:
        raise InputError(
            f"holds values of type {dtype}; integers or floats of up to 64 bits are expected"
        )


def check_section(section: np.ndarray, number: int, role: str = "mask") -> None:
    """Refuse a section that holds anything but grey values, or truth values in a mask.

    Raises:
        InputError: without the name of the volume.
    """
    _check_kind(section.dtype, role)
    # False for NaN as well.
    if section.dtype.kind == "f" and not float(np.abs(section).max()) <= _LARGEST:
        raise InputError(
            f"section {number} holds NaN, infinite or huge values; replace them by finite ones"
        )
