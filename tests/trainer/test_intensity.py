from __future__ import annotations

import numpy as np
import pytest

from trainer import intensity as module
from trainer.intensity import Intensity


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_1st_percentile_becomes_0_and_the_99th_1(dtype: type) -> None:
    raw = np.arange(101, dtype=dtype).reshape(1, 1, 101)
    scaled = Intensity.measure(raw).scale(raw)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled[0, 0], (np.arange(101) - 1) / 98, rtol=1e-6, atol=1e-7)


def test_brightness_and_contrast_of_the_microscope_do_not_matter() -> None:
    raw = np.random.default_rng(0).integers(0, 200, (3, 40, 50)).astype(np.uint16)
    other = raw * 250 + 7000
    scaled, again = Intensity.measure(raw).scale(raw), Intensity.measure(other).scale(other)
    np.testing.assert_allclose(scaled, again, atol=1e-5)


def test_a_volume_of_one_value_becomes_0() -> None:
    raw = np.full((2, 8, 8), 77, np.uint8)
    assert not Intensity.measure(raw).scale(raw).any()


def test_voxels_below_the_1st_percentile_do_not_wrap_around() -> None:
    raw = np.full((1, 20, 20), 100, np.uint8)
    raw[0, 0, 0], raw[0, 10:] = 0, 200
    assert Intensity.measure(raw).scale(raw)[0, 0, 0] == -1.0


@pytest.mark.parametrize("sections", [1, 2, 3, 4, 7])
def test_a_large_volume_is_measured_from_a_sample(
    monkeypatch: pytest.MonkeyPatch, sections: int
) -> None:
    sizes = []
    percentile = np.percentile

    def spy(sample: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
        sizes.append(sample.size)
        return percentile(sample, shares)

    monkeypatch.setattr(module, "_SAMPLE_VOXELS", 5000)
    monkeypatch.setattr(np, "percentile", spy)
    # Every column has a grey value of its own: a sample in step with the rows would see a few.
    raw = np.broadcast_to(np.arange(64, dtype=np.uint8), (sections, 64, 64))
    intensity = Intensity.measure(raw)
    assert (intensity.low, intensity.high) == (0.0, 63.0)
    assert 1500 < sizes[0] <= 5000


@pytest.mark.parametrize("share", [0.005, 0.02])
def test_a_sparse_stain_has_the_scale_of_its_brightest(share: float) -> None:
    raw = np.zeros((4, 50, 50), np.uint16)
    raw.reshape(-1)[: int(share * raw.size)] = 30_000
    assert Intensity.measure(raw).scale(raw).max() == pytest.approx(1.0)


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.uint32])
def test_values_on_a_large_offset_stay_apart(dtype: type) -> None:
    raw = (np.arange(1000).reshape(10, 10, 10) + 2**30).astype(dtype)
    scaled = Intensity.measure(raw).scale(raw)
    assert scaled.dtype == np.float32
    assert len(np.unique(scaled)) == 1000
