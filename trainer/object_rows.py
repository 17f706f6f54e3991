"""The objects of a volume one by one: which were found, which missed, which are none."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trainer.instances import Overlap


@dataclass(frozen=True)
class ObjectRow:
    """One object: a connected component of the truth, or a predicted one without a partner.

    Attributes:
        kind: `true` or `false` (predicted, and no object of the truth).
        number: From 1, of the components of its kind of mask.
        voxels: Its size.
        z: Of its centre of mass, in voxels of the volume.
        y: The same.
        x: The same.
        best_iou: With the component of the other mask that fits it best; 0 where none meets it.
        found: Whether that is enough for a match.
    """

    kind: str
    number: int
    voxels: int
    z: float
    y: float
    x: float
    best_iou: float
    found: bool


def list_objects(overlap: Overlap, *, iou: float = 0.5, first: int = 0) -> list[ObjectRow]:
    """Every true object of a volume, the largest first, then predicted ones without a partner.

    Args:
        overlap: Of the truth and the prediction.
        iou: From which on an object is found.
        first: The number of the first section.
    """
    true = _rows("true", overlap.true_sizes, overlap.true_centres, overlap.true_ious, iou)
    guessed = _rows(
        "false", overlap.guessed_sizes, overlap.guessed_centres, overlap.guessed_ious, iou
    )
    rows = [*true, *(row for row in guessed if not row.found)]
    return [replace(row, z=row.z + first) for row in rows]


def _rows(
    kind: str,
    sizes: NDArray[np.int64],
    centres: NDArray[np.float64],
    ious: NDArray[np.float64],
    iou: float,
) -> list[ObjectRow]:
    rows = []
    for number, (size, centre, best) in enumerate(zip(sizes, centres, ious, strict=True), 1):
        z, y, x = centre.tolist()
        rows.append(ObjectRow(kind, number, int(size), z, y, x, float(best), bool(best >= iou)))
    return sorted(rows, key=lambda row: (-row.voxels, row.number))
