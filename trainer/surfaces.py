"""The surfaces of the objects of a volume, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection  # type: ignore[import-untyped]
from scipy import ndimage
from skimage.measure import block_reduce, marching_cubes

# Of the longest side, after which the picture takes seconds.
_LONGEST_SIDE = 200
_MOST_OBJECTS = 400
_LIGHT = np.array([-0.4, -0.5, 0.75])  # where the light comes from, (x, y, z) of the picture


def draw_surfaces(labels: np.ndarray, edges: Sequence[float], unit: str) -> Figure:
    """Draws every object's surface in a colour of its own, lit from above.

    The surfaces are found by marching cubes (Lorensen and Cline 1987, from scikit-image) in the
    volume thinned to 200 voxels at its longest side.

    Args:
        labels: Objects numbered from 1, (z, y, x).
        edges: Of a voxel, z, y, x, in `unit`.
        unit: For the axes.
    """
    triangles, owners = _find_surfaces(labels)
    scale = np.asarray(edges, float)
    corners = (triangles * scale)[..., ::-1]  # (triangle, corner, x y z)
    extent = (np.asarray(labels.shape) * scale)[::-1]
    figure = Figure(figsize=(10, 5.6))
    axes: Any = figure.add_axes((0.0, 0.02, 1.0, 0.96), projection="3d")
    surfaces = Poly3DCollection(corners, facecolors=_light(corners, owners), edgecolors="none")
    # The flat box is wider than the square that matplotlib would cut the picture to.
    surfaces.set_clip_on(False)
    axes.add_collection3d(surfaces)
    axes.set(xlim=(0, extent[0]), ylim=(0, extent[1]), zlim=(0, extent[2]))
    axes.set_box_aspect(extent, zoom=1.2)
    axes.set_xlabel(f"x, {unit}", labelpad=10)
    axes.set_ylabel(f"y, {unit}", labelpad=10)
    axes.set_zlabel(f"z, {unit}", labelpad=2)
    axes.locator_params(axis="z", nbins=3)
    axes.view_init(elev=32, azim=-62)
    return figure


def _find_surfaces(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (triangle, corner, axis) in voxels, and the object that each belongs to."""
    step = max(1, round(max(labels.shape) / _LONGEST_SIDE))
    boxes = ndimage.find_objects(labels)
    sizes = [
        0 if box is None else np.prod([part.stop - part.start for part in box]) for box in boxes
    ]
    triangles, owners = [np.zeros((0, 3, 3))], [np.zeros(0, int)]
    for number in np.argsort(sizes)[::-1][:_MOST_OBJECTS]:
        box = boxes[number]
        if box is None:
            continue
        # Blocks begin at multiples of the step, so that all objects are thinned alike.
        starts = [part.start // step * step for part in box]
        aligned = tuple(slice(start, part.stop) for start, part in zip(starts, box, strict=True))
        share = block_reduce((labels[aligned] == number + 1).astype(np.float32), step, np.mean)
        padded = np.pad(share, 1)
        if padded.max() <= 0.5:
            continue
        points, faces, _, _ = marching_cubes(padded, 0.5)
        places = (points - 1 + 0.5) * step + np.asarray(starts)
        triangles.append(places[faces])
        owners.append(np.full(len(faces), number))
    return np.concatenate(triangles), np.concatenate(owners)


def _light(corners: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Colours of the triangles: the object's own, darker where it is turned from the light."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    # The way round of the corners is not the same for every axis order: lit from both sides.
    bright = 0.45 + 0.55 * np.abs(normals @ (_LIGHT / np.linalg.norm(_LIGHT)))
    colours = colormaps["tab20"](owners % 20)
    colours[:, :3] *= bright[:, np.newaxis]
    return np.asarray(colours)
