from __future__ import annotations

import cv2
import numpy as np
import pytest

from trainer.phantom import build_phantom
from trainer.volume import Volume


@pytest.fixture(scope="module")
def phantom() -> Volume:
    return build_phantom(40, 192, 192, seed=0)


def best_threshold_dice(raw: np.ndarray, mask: np.ndarray) -> float:
    """Best Dice of calling everything below, or everything from, a grey value foreground."""
    foreground = np.bincount(raw[mask == 1], minlength=256)
    everything = np.bincount(raw.ravel(), minlength=256)
    scores = []
    for direction in (1, -1):
        found = np.cumsum(foreground[::direction])
        predicted = np.cumsum(everything[::direction])
        scores.append((2 * found / (predicted + foreground.sum())).max())
    return float(max(scores))


def test_a_phantom_is_a_volume_of_bytes_with_a_mask_and_a_voxel_size(phantom: Volume) -> None:
    assert (phantom.raw.shape, phantom.mask.shape) == ((40, 192, 192), (40, 192, 192))
    assert (phantom.raw.dtype, phantom.mask.dtype) == (np.uint8, np.uint8)
    assert set(np.unique(phantom.mask)) == {0, 1}
    assert phantom.voxel_size_nm == (8.0, 8.0, 8.0)


def test_the_same_seed_gives_the_same_phantom_and_another_seed_another() -> None:
    first, again, other = (build_phantom(24, 96, 96, seed) for seed in (3, 3, 4))
    assert first.sha256 == again.sha256
    assert not np.array_equal(first.mask, other.mask)


@pytest.mark.parametrize("shape", [(24, 97, 131), (9, 64, 80)])
def test_a_phantom_may_have_any_shape(shape: tuple[int, int, int]) -> None:
    assert build_phantom(*shape, seed=1).raw.shape == shape


def test_foreground_is_rare_and_even_along_z(phantom: Volume) -> None:
    shares = phantom.mask.mean(axis=(1, 2))
    assert shares.min() > 0.06
    assert shares.max() < 0.15


def test_no_threshold_finds_the_mitochondria(phantom: Volume) -> None:
    assert best_threshold_dice(phantom.raw, phantom.mask) < 0.5


def test_a_threshold_would_find_bright_objects() -> None:
    # The measure above can fail: a mask that is a threshold scores 1.
    raw = np.random.default_rng(0).integers(0, 256, (4, 16, 16), dtype=np.uint8)
    assert best_threshold_dice(raw, (raw > 180).astype(np.uint8)) == 1.0


def test_mitochondria_are_14_to_30_voxels_across(phantom: Volume) -> None:
    inside = [cv2.distanceTransform(section, cv2.DIST_L2, 5).max() for section in phantom.mask]
    assert 14 < 2 * np.median(inside) < 2 * max(inside) < 31


def test_brightness_uses_the_range_without_clipping_it(phantom: Volume) -> None:
    assert np.percentile(phantom.raw, 0.1) > 20
    assert np.percentile(phantom.raw, 99.9) < 235
