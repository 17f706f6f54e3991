"""The surfaces of the objects of a volume, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection  # type: ignore[import-untyped]
from scipy import ndimage
from skimage.measure import block_reduce, marching_cubes

# Of the longest side, after which the picture takes seconds.
_LONGEST_SIDE = 200
_MOST_OBJECTS = 400
# So many objects can be told apart by their colours.
_MOST_UNLIKE = 20
# The golden section takes each hue furthest from those before it; the tones part what comes close.
_HUE_STEP = 0.618034
_TONES = ((0.75, 0.85), (0.4, 0.95), (0.9, 0.6))  # saturation, value
_LIGHT = np.array([-0.4, -0.5, 0.75])  # where the light comes from, (x, y, z) of the picture


@dataclass(frozen=True, eq=False)
class Surfaces:
    """The surfaces of the objects of a volume, in voxels.

    Attributes:
        shape: Of the volume, (z, y, x).
        triangles: Their corners, (triangle, corner, axis).
        owners: The object that each belongs to, from 0, the largest one first.
        drawn: Objects that have a surface.
        too_small: Objects that vanish in the thinned volume.
        beyond: Objects that are left out since there are larger ones enough.
    """

    shape: tuple[int, ...]
    triangles: np.ndarray
    owners: np.ndarray
    drawn: int
    too_small: int
    beyond: int

    def describe(self) -> str:
        """Says what the picture shows, and which objects it does not."""
        alike = ", though among so many some are alike" if self.drawn > _MOST_UNLIKE else ""
        missing = [
            *([f"{self.too_small:,} too small for it"] if self.too_small else []),
            *([f"{self.beyond:,} beyond the {_MOST_OBJECTS} largest"] if self.beyond else []),
        ]
        left_out = f" Left out are {' and '.join(missing)}." if missing else ""
        return (
            f"{self.drawn:,} objects, each in a colour of its own{alike}, in a coarser picture of "
            f"the volume.{left_out}"
        )


def find_surfaces(labels: np.ndarray) -> Surfaces:
    """Finds every object's surface by marching cubes.

    The algorithm is that of Lorensen and Cline 1987, from scikit-image, in the volume thinned to
    200 voxels at its longest side.

    Args:
        labels: Objects numbered from 1, (z, y, x).
    """
    step = max(1, round(max(labels.shape) / _LONGEST_SIDE))
    ranked = _rank(labels)
    found = [_find_surface(labels, *each, step) for each in ranked[:_MOST_OBJECTS]]
    kept = [triangles for triangles in found if len(triangles)]
    return Surfaces(
        labels.shape,
        np.concatenate([np.zeros((0, 3, 3)), *kept]),
        np.repeat(np.arange(len(kept)), np.array([len(each) for each in kept], int)),
        drawn=len(kept),
        too_small=len(found) - len(kept),
        beyond=len(ranked) - len(found),
    )


def draw_surfaces(surfaces: Surfaces, edges: Sequence[float], unit: str) -> Figure:
    """Draws surfaces, each in a colour of its own, lit from above.

    Args:
        surfaces: What to draw.
        edges: Of a voxel, z, y, x, in `unit`.
        unit: For the axes.
    """
    scale = np.asarray(edges, float)
    corners = (surfaces.triangles * scale)[..., ::-1]  # (triangle, corner, x y z)
    extent = (np.asarray(surfaces.shape) * scale)[::-1]
    figure = Figure(figsize=(10, 5.6))
    axes: Any = figure.add_axes((0.0, 0.02, 1.0, 0.96), projection="3d")
    colours = _light(corners, _choose_colours(surfaces.drawn)[surfaces.owners])
    collection = Poly3DCollection(corners, facecolors=colours, edgecolors="none")
    # The flat box is wider than the square that matplotlib would cut the picture to.
    collection.set_clip_on(False)
    axes.add_collection3d(collection)
    axes.set(xlim=(0, extent[0]), ylim=(0, extent[1]), zlim=(0, extent[2]))
    axes.set_box_aspect(extent, zoom=1.2)
    axes.set_xlabel(f"x, {unit}", labelpad=10)
    axes.set_ylabel(f"y, {unit}", labelpad=10)
    axes.set_zlabel(f"z, {unit}", labelpad=2)
    axes.locator_params(axis="z", nbins=3)
    axes.view_init(elev=32, azim=-62)
    return figure


Box = tuple[slice, ...]


def _rank(labels: np.ndarray) -> list[tuple[int, Box]]:
    """Numbers of the objects and the boxes around them, the largest object first."""
    boxes = [
        (number, box) for number, box in enumerate(ndimage.find_objects(labels), start=1) if box
    ]
    sizes = [int(np.count_nonzero(labels[box] == number)) for number, box in boxes]
    return [boxes[place] for place in np.argsort(sizes, kind="stable")[::-1]]


def _find_surface(labels: np.ndarray, number: int, box: Box, step: int) -> np.ndarray:
    """The triangles of an object in voxels, (triangle, corner, axis)."""
    # Blocks begin at multiples of the step, so that all objects are thinned alike.
    starts = [part.start // step * step for part in box]
    aligned = tuple(slice(start, part.stop) for start, part in zip(starts, box, strict=True))
    share = block_reduce((labels[aligned] == number).astype(np.float32), step, np.mean)
    padded = np.pad(share, 1)
    if padded.max() <= 0.5:
        return np.zeros((0, 3, 3))
    points, faces, _, _ = marching_cubes(padded, 0.5)
    corners: np.ndarray = ((points - 1 + 0.5) * step + np.asarray(starts))[faces]
    return corners


def _choose_colours(count: int) -> np.ndarray:
    """As many colours, no two of them the same, (colour, red green blue)."""
    numbers = np.arange(count)
    tones = np.array(_TONES)[numbers % len(_TONES)]
    return np.asarray(hsv_to_rgb(np.column_stack([numbers * _HUE_STEP % 1, tones])))


def _light(corners: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Colours of the triangles: those of their objects, darker where turned from the light."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    # The way round of the corners is not the same for every axis order: lit from both sides.
    bright = 0.45 + 0.55 * np.abs(normals @ (_LIGHT / np.linalg.norm(_LIGHT)))
    lit: np.ndarray = colours * bright[:, np.newaxis]
    return lit
