"""A volume as those see it who go through it section by section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np


class Sections(Protocol):
    """Sections by their number: an array (z, y, x), or a file of which they are read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the volume, (z, y, x)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: Any, /) -> np.ndarray: ...


class Stream(NamedTuple):
    """A volume that comes section by section.

    Attributes:
        sections: (y, x), in their order.
        shape: Of the volume, (z, y, x).
        dtype: Of the values.
    """

    sections: Iterator[np.ndarray]
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
