from __future__ import annotations

import cv2
import numpy as np
import pytest

from trainer.section_correlation import (
    Profiles,
    build_profiles,
    correlate_neighbours,
    correlate_pairs,
    correlate_with_first,
    fisher_interval,
    independent_pixels,
    thinned_profiles,
    thinning,
)

MARGIN = 16


def smooth_field(
    seed: int, sigma: float, kept: float, sections: int = 20, side: int = 64
) -> np.ndarray:
    """A field whose correlation is kept ** distance along z and a Gaussian in the plane."""
    rng = np.random.default_rng(seed)
    wide = rng.standard_normal((sections, side + 2 * MARGIN, side + 2 * MARGIN)).astype(np.float32)
    inner = slice(MARGIN, -MARGIN)
    field = np.stack([_blurred(section, sigma)[inner, inner] for section in wide])
    for z in range(1, sections):
        field[z] = kept * field[z - 1] + np.sqrt(1 - kept**2) * field[z]
    return field


def _blurred(section: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(section, (0, 0), sigma) if sigma else section


def profiles(seed: int, sigma: float, kept: float = 0.8) -> Profiles:
    return build_profiles(smooth_field(seed, sigma, kept))


def test_the_correlation_is_pearsons_over_all_pairs() -> None:
    field = smooth_field(0, 2, 0.8)
    whole = build_profiles(field)
    found = correlate_pairs(whole, whole, np.arange(20), 10, smallest=1)
    for distance in (1, 4, 10):
        pairs = [
            np.corrcoef(field[z].ravel(), field[z + distance].ravel())[0, 1]
            for z in range(20 - distance)
        ]
        assert found.values[distance - 1] == pytest.approx(np.mean(pairs), abs=1e-5)
        assert found.pairs[distance - 1] == 20 - distance
    assert found.distances.tolist() == list(range(1, 11))


def test_the_first_section_is_compared_with_each_above_it() -> None:
    field = smooth_field(0, 2, 0.8)
    found = correlate_with_first(build_profiles(field))
    expected = [np.corrcoef(field[0].ravel(), section.ravel())[0, 1] for section in field[1:]]
    assert np.allclose(found.values, expected, atol=1e-5)


@pytest.mark.parametrize("sigma", [2, 4])
def test_pixels_count_as_much_as_theory_says(sigma: int) -> None:
    """White noise smoothed by a Gaussian: n / (2 pi sigma²) of its n pixels are independent."""
    fields = [build_profiles(smooth_field(seed, sigma, 0.8, side=96)) for seed in range(4)]
    worth = np.mean([independent_pixels(field, field) for field in fields])
    assert worth == pytest.approx(96 * 96 / (2 * np.pi * sigma**2), rel=0.25)


def test_every_pixel_of_white_noise_counts() -> None:
    white = profiles(0, 0)
    assert independent_pixels(white, white) == pytest.approx(64 * 64, rel=0.02)


def test_the_interval_holds_the_truth_as_often_as_it_says_and_a_naive_one_does_not() -> None:
    held, naive = [], []
    for seed in range(60):
        whole = profiles(seed, 2)
        found = correlate_pairs(whole, whole, np.arange(20), 4, smallest=1)
        held += [found.low[d - 1] <= 0.8**d <= found.high[d - 1] for d in (1, 2, 4)]
        low, high = fisher_interval(float(found.values[0]), 64 * 64 * float(found.pairs[0]))
        naive.append(low <= 0.8 <= high)
    assert 0.92 <= np.mean(held) <= 1
    assert np.mean(naive) < 0.5


def test_unrelated_smooth_fields_are_found_unrelated_as_often_as_the_interval_says() -> None:
    held = []
    for seed in range(120):
        one, other = (build_profiles(smooth_field(s, 3, 0, 1)) for s in (seed, 1000 + seed))
        found = correlate_pairs(one, other, np.zeros(1, int), 0)
        held.append(found.low[0] <= 0 <= found.high[0])
    assert 0.88 <= np.mean(held) <= 0.99


def test_fishers_interval_is_that_of_the_textbook() -> None:
    low, high = fisher_interval(0.5, 103)
    assert (low, high) == pytest.approx((0.3393, 0.6325), abs=1e-3)  # atanh(0.5) +- 1.96 / 10
    assert -1 <= fisher_interval(1.0, 10)[0] <= fisher_interval(1.0, 10)[1] <= 1


def test_changed_sections_are_compared_by_their_numbers() -> None:
    field = smooth_field(0, 1, 0.0)
    whole, some = build_profiles(field), build_profiles(field[[3, 9]])
    found = correlate_pairs(whole, some, np.array([3, 9]), 6)
    assert found.values[0] == pytest.approx(1, abs=1e-5)
    assert abs(found.values[6]) < 0.1
    assert found.pairs.tolist() == [2, 2, 2, 2, 1, 1, 1]


def test_blank_sections_resemble_nothing_and_count_as_nothing() -> None:
    field = smooth_field(0, 2, 0.8)
    field[5] = 0.1
    whole = build_profiles(field)
    found = correlate_pairs(whole, whole, np.arange(20), 3, smallest=1)
    assert found.pairs.tolist() == [17, 16, 15]
    neighbours = correlate_neighbours(whole, 1)
    assert np.flatnonzero(np.isnan(neighbours)).tolist() == [4, 5]
    assert 5 not in correlate_with_first(whole).distances


def test_a_large_section_is_thinned_evenly() -> None:
    rows, columns = thinning((768, 1024))
    assert (len(range(768)[rows]), len(range(1024)[columns])) == (256, 256)
    assert thinned_profiles(np.zeros((2, 40, 30), np.uint8)).pixels.shape == (2, 40, 30)
