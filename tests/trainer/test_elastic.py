from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from trainer.elastic import draw_displacement

SHAPE = (300, 280)


class Noise:
    """Remembers the noise that was drawn, to smooth it by other means."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.drawn = np.zeros(0)

    def uniform(self, low: float, high: float, shape: list[int]) -> np.ndarray:
        self.drawn = self._random.uniform(low, high, shape)
        return self.drawn


@pytest.mark.parametrize("sigma", [1.0, 2.5, 5.9])
def test_a_narrow_field_is_the_noise_of_every_voxel_smoothed(sigma: float) -> None:
    noise = Noise(0)
    field = draw_displacement(noise, (64, 50), 100.0, sigma)  # type: ignore[arg-type]
    expected = ndimage.gaussian_filter(noise.drawn, sigma, truncate=4.0, mode="mirror") * 100.0
    margin = math.ceil(4 * sigma) + 1  # and a point that carries the interpolation
    inner = expected[margin : margin + 64, margin : margin + 50]
    np.testing.assert_allclose(field, inner, atol=0.02 * inner.std())


@pytest.mark.parametrize("sigma", [2.0, 6.0, 13.0, 30.0])
def test_deviation_and_reach_are_those_of_smoothed_noise(sigma: float) -> None:
    fields = [
        draw_displacement(np.random.default_rng(seed), SHAPE, 200.0, sigma) for seed in range(40)
    ]
    variance = np.mean([field.astype(float) ** 2 for field in fields])
    expected = 200.0 / (sigma * math.sqrt(12 * math.pi))
    assert math.sqrt(variance) == pytest.approx(expected, rel=0.12)
    # Of smoothed white noise: exp(-d^2 / (4 sigma^2)) at the distance d.
    distance = round(2 * sigma)
    products = np.mean([field[:, distance:] * field[:, :-distance] for field in fields])
    assert products / variance == pytest.approx(math.exp(-(distance**2) / 4 / sigma**2), abs=0.12)


def test_it_costs_and_moves_nothing_without_alpha() -> None:
    assert not draw_displacement(np.random.default_rng(0), (8, 8), 0.0, 4.0).any()


@pytest.mark.parametrize("sigma", [1.0, 3.0, 7.0, 50.0, 200.0])
@pytest.mark.parametrize("shape", [(8, 8), (9, 31), (64, 16)])
def test_every_size_is_covered(shape: tuple[int, int], sigma: float) -> None:
    field = draw_displacement(np.random.default_rng(0), shape, 100.0, sigma)
    assert field.shape == shape
    assert field.dtype == np.float32
    assert np.isfinite(field).all()
    assert field.any()
