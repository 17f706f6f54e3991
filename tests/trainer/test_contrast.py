from __future__ import annotations

import numpy as np
import pytest

from trainer.contrast import measure_contrast


def tissue(dtype: type, *, dark: bool = True) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    mask = (rng.random((3, 24, 30)) < 0.2).astype(np.uint8)
    raw = rng.normal(600, 40, mask.shape) + np.where(mask == 1, -60 if dark else 60, 0)
    return raw.astype(dtype), mask


def best_by_trying(raw: np.ndarray, mask: np.ndarray) -> float:
    best = 0.0
    for value in np.unique(raw):
        for called in (raw <= value, raw >= value):
            best = max(best, 2 * (called & (mask == 1)).sum() / (called.sum() + mask.sum()))
    return float(best)


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_the_threshold_is_the_best_there_is(dtype: type, dark: bool) -> None:
    raw, mask = tissue(dtype, dark=dark)
    contrast = measure_contrast(raw, mask)
    assert contrast.foreground_is == ("darker" if dark else "brighter")
    assert contrast.dice == pytest.approx(best_by_trying(raw, mask), abs=2e-3)
    called = raw <= contrast.threshold if dark else raw >= contrast.threshold
    own = 2 * (called & (mask == 1)).sum() / (called.sum() + mask.sum())
    assert own == pytest.approx(contrast.dice, abs=2e-3)


def test_integers_are_counted_exactly() -> None:
    raw, mask = tissue(np.uint16)
    assert measure_contrast(raw, mask).dice == best_by_trying(raw, mask)


def test_the_histograms_hold_every_voxel() -> None:
    raw, mask = tissue(np.uint16)
    contrast = measure_contrast(raw, mask)
    assert contrast.inside.sum() == mask.sum()
    assert contrast.outside.sum() == mask.size - mask.sum()
    level = int(np.median(raw))
    place = int(np.flatnonzero(contrast.levels == level)[0])
    assert contrast.inside[place] == ((raw == level) & (mask == 1)).sum()


def test_histograms_that_are_alike_overlap_and_others_do_not() -> None:
    mask = np.zeros((2, 20, 20), np.uint8)
    mask[:, :10] = 1
    assert measure_contrast(np.where(mask == 1, 10, 200).astype(np.uint8), mask).overlap == 0
    same = np.tile(np.arange(20, dtype=np.uint8), (2, 20, 1))
    alike = measure_contrast(same, mask)
    assert alike.overlap == pytest.approx(1)
    assert alike.dice == pytest.approx(alike.dice_of_all)


def test_one_grey_value_is_no_reason_to_fail() -> None:
    mask = np.zeros((2, 4, 4), np.uint8)
    mask[0, 0, 0] = 1
    for dtype in (np.uint8, np.float32):
        contrast = measure_contrast(np.full(mask.shape, 7, dtype), mask)
        assert contrast.dice == contrast.dice_of_all
