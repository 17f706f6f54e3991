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
    points = [math.ceil(length / step) + 2 for length in shape]
    noise = random.uniform(-1, 1, [count + 2 * margin for count in points]).astype(np.float32)
    width = 2 * margin + 1
    smooth = cv2.GaussianBlur(noise, (width, width), sigma / step)
    # Fewer points each carry more: the mean over a step's area loses a factor of the step.
    smooth = smooth[margin:-margin, margin:-margin] * np.float32(alpha / step)
    # The first and the last point only carry the interpolation beyond the field's border.
    fine = cv2.resize(smooth, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
    return fine[step : step + shape[0], step : step + shape[1]]
