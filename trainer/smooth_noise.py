"""Smooth random fields, which synthetic tissue is made of."""

from __future__ import annotations

import numpy as np


def build_smooth_noise(
    shape: tuple[int, ...], scale: float, rng: np.random.Generator
) -> np.ndarray:
    """Return a field (z, y, x) of mean 0 and deviation 1 that varies over about `scale` voxels."""
    weights = [_bumps(length, scale) for length in shape]
    field = rng.standard_normal([bumps.shape[1] for bumps in weights], dtype=np.float32)
    # One matrix product for an axis spreads the values of a coarse grid over the voxels.
    for bumps in weights:
        field = np.tensordot(field, bumps, axes=(0, 1))
    field -= field.mean()
    field /= max(float(field.std()), 1e-6)
    return field


def _bumps(length: int, scale: float) -> np.ndarray:
    """Return the weight of each grid point for each voxel along an axis, (voxel, grid point)."""
    grid = np.arange(-scale, length + 2 * scale, scale)
    bumps = np.exp(-2 * ((np.arange(length)[:, None] - grid) / scale) ** 2)
    bumps /= np.linalg.norm(bumps, axis=1, keepdims=True)
    narrow: np.ndarray = bumps.astype(np.float32)
    return narrow
