from __future__ import annotations

import numpy as np
import pytest

from trainer.smooth_noise import build_smooth_noise


def correlation_of_neighbours(scale: float) -> float:
    field = build_smooth_noise((20, 40, 50), scale, np.random.default_rng(0))
    return float((field[:, :, 1:] * field[:, :, :-1]).mean())


@pytest.mark.parametrize("scale", [1.0, 2.6, 80.0])
def test_a_field_has_mean_zero_and_deviation_one(scale: float) -> None:
    field = build_smooth_noise((7, 33, 20), scale, np.random.default_rng(0))
    assert field.shape == (7, 33, 20)
    assert field.dtype == np.float32
    assert field.mean() == pytest.approx(0, abs=1e-4)
    assert field.std() == pytest.approx(1, abs=1e-3)


def test_a_larger_scale_is_smoother() -> None:
    assert (
        correlation_of_neighbours(1) < correlation_of_neighbours(3) < correlation_of_neighbours(9)
    )
