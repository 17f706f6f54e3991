"""Cells that fill a synthetic volume without a gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.smooth_noise import build_smooth_noise

# Voxels between the centres of two cells.
_SPACING = 62.0
# Voxels by which noise shifts a place before its nearest cell is looked up: membranes bend.
_BEND = 9.0
_BEND_SCALE = 13.0


@dataclass(frozen=True, eq=False)
class Cells:
    """A volume divided into cells.

    Attributes:
        label: number of the cell of each voxel, (z, y, x).
        depth: distance of each voxel to the nearest border between cells, in voxels, (z, y, x).
        count: number of cells; labels run from 0 to count - 1.
    """

    label: np.ndarray
    depth: np.ndarray
    count: int


def build_cells(shape: tuple[int, int, int], rng: np.random.Generator) -> Cells:
    """Divide a volume (z, y, x) into bent Voronoi cells."""
    centres = _build_centres(shape, rng)  # (cell, axis)
    # Half the resolution in every axis: an eighth of the work, and membranes are smooth.
    coarse = tuple(-(-length // 2) for length in shape)
    bends = [_BEND * build_smooth_noise(coarse, _BEND_SCALE, rng) for _ in shape]
    label = np.empty(coarse, np.uint16)
    depth = np.empty(coarse, np.float32)
    for z in range(coarse[0]):
        rows, columns = np.indices(coarse[1:], dtype=np.float32)
        places = [2.0 * z + bends[0][z], 2 * rows + bends[1][z], 2 * columns + bends[2][z]]
        points = np.stack([place.ravel() for place in places], axis=1)
        nearest, distance = _find_nearest(points, centres)
        label[z], depth[z] = nearest.reshape(coarse[1:]), distance.reshape(coarse[1:])
    return Cells(_double(label, shape), _double_smoothly(depth, shape), len(centres))


def _build_centres(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    axes = [np.arange(-_SPACING, length + 1.5 * _SPACING, _SPACING) for length in shape]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    shifts = rng.uniform(-0.42 * _SPACING, 0.42 * _SPACING, grid.shape)
    centres: np.ndarray = (grid + shifts).astype(np.float32)
    return centres


def _find_nearest(points: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest centre of each point and the distance to the border to the second one."""
    # Squared distances but for |point|², which is the same for all centres.
    squares = (centres**2).sum(axis=1) - 2 * points @ centres.T  # (point, cell)
    everyone = np.arange(len(points))
    first = squares.argmin(axis=1)
    nearest = squares[everyone, first]
    squares[everyone, first] = np.inf
    second = squares.argmin(axis=1)
    apart = np.linalg.norm(centres[second] - centres[first], axis=1)
    return first, (squares[everyone, second] - nearest) / (2 * apart)


def _double(field: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    for axis, length in enumerate(shape):
        field = np.take(field, np.arange(length) // 2, axis=axis)
    return field


def _double_smoothly(field: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    for axis, length in enumerate(shape):
        below = np.arange(length) // 2
        above = np.minimum(-(-np.arange(length) // 2), field.shape[axis] - 1)
        field = (np.take(field, below, axis=axis) + np.take(field, above, axis=axis)) / 2
    return field
