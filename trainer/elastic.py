"""Elastic deformation: noise made smooth, as tissue is stretched."""

from __future__ import annotations

import math

import cv2
import numpy as np

_POINTS_PER_SIGMA = 3
_REACH = 4  # of the Gaussian, in sigmas


def draw_displacement(
    random: np.random.Generator, shape: tuple[int, int], alpha: float, sigma: float
) -> np.ndarray:
    """Draws the displacements along one axis, in voxels, float32 (y, x).

    Uniform noise between -1 and 1 on every voxel, smoothed by a Gaussian of width sigma and
    multiplied by alpha (Simard et al. 2003, "Best practices for convolutional neural networks").
    Its standard deviation is alpha / (sigma sqrt(12 pi)).

    A smooth field needs no value at every voxel: the noise is drawn on a grid of three points per
    sigma, scaled to the same deviation, and interpolated. The cost does not grow with sigma.
    """
    step = max(1, int(sigma / _POINTS_PER_SIGMA))
    margin = math.ceil(_REACH * sigma / step)
    coarse = [math.ceil(length / step) + 2 * margin + 3 for length in shape]
    noise = random.uniform(-1, 1, coarse).astype(np.float32)
    width = 2 * margin + 1
    smooth = cv2.GaussianBlur(noise, (width, width), sigma / step)
    # Fewer points each carry more: the mean over a step's area loses a factor of the step.
    smooth = smooth * np.float32(alpha / step)
    if step == 1:
        return smooth[margin : margin + shape[0], margin : margin + shape[1]]
    y, x = (margin + 1 + np.arange(length, dtype=np.float32) / step for length in shape)
    columns, rows = np.meshgrid(x, y)
    return cv2.remap(smooth, columns, rows, cv2.INTER_CUBIC)
