"""The part of a section that a question is about, and what the network is shown of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from trainer.errors import InputError


@dataclass(frozen=True)
class Region:
    """A box of voxels, from (y0, x0) up to but without (y1, x1)."""

    y0: int
    x0: int
    y1: int
    x1: int

    @classmethod
    def parse(cls, text: str) -> Region:
        """Reads `y0,x0,y1,x1`.

        Raises:
            InputError: It is no such box.
        """
        try:
            y0, x0, y1, x1 = (int(part) for part in text.split(","))
        except ValueError:
            y0 = x0 = y1 = x1 = 0
        if not (0 <= y0 < y1 and 0 <= x0 < x1):
            raise InputError(
                f"--box: expected y0,x0,y1,x1 in voxels such as 100,200,164,264, got {text!r}"
            )
        return cls(y0, x0, y1, x1)

    def check_within(self, height: int, width: int) -> None:
        """Refuses a box that leaves the section.

        Raises:
            InputError: It does.
        """
        if self.y1 > height or self.x1 > width:
            raise InputError(
                f"--box: expected a box within the section of {height} x {width} voxels (y x x), "
                f"got {self.y0},{self.x0},{self.y1},{self.x1}"
            )

    @property
    def slices(self) -> tuple[slice, slice]:
        """The box as an index of a section."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def moved(self, y: int, x: int) -> Region:
        """The same box where (y, x) is the origin."""
        return Region(self.y0 - y, self.x0 - x, self.y1 - y, self.x1 - x)

    def window(self, height: int, width: int, side: int) -> Region:
        """The section, or a part of it around the box where it is larger than `side`."""
        y0, y1 = _around(self.y0, self.y1, height, side)
        x0, x1 = _around(self.x0, self.x1, width, side)
        return Region(y0, x0, y1, x1)

    def share_of_cells(self, height: int, width: int, factor: int) -> np.ndarray:
        """How much of each cell of a coarser grid lies within the box, float32 (y, x), 0 to 1.

        A box that lies beyond the grid counts for the cells nearest to it.

        Args:
            height: Of the grid, in cells.
            width: The same.
            factor: Voxels along the side of a cell.
        """
        inside = np.zeros((height * factor, width * factor), np.float32)
        y0, x0 = min(self.y0, len(inside) - 1), min(self.x0, inside.shape[1] - 1)
        inside[y0 : self.y1, x0 : self.x1] = 1
        return cv2.resize(inside, (width, height), interpolation=cv2.INTER_AREA)


def _around(low: int, high: int, length: int, side: int) -> tuple[int, int]:
    side = max(side, high - low)
    first = min(max((low + high - side) // 2, 0), max(length - side, 0))
    return first, min(first + side, length)
