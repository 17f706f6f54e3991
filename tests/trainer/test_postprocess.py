from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from trainer.hyperparameters import Hyperparameters
from trainer.median import median_along_z
from trainer.metrics import Scores
from trainer.model import Model
from trainer.postprocess import Judge, tune
from trainer.volume import Volume


@pytest.mark.parametrize("window", [1, 3, 5, 7])
@pytest.mark.parametrize("sections", [1, 2, 9])
def test_the_median_is_that_of_scipy(window: int, sections: int) -> None:
    probability = np.random.default_rng(0).integers(0, 256, (sections, 6, 5)).astype(np.uint8)
    expected = ndimage.median_filter(probability, size=(window, 1, 1), mode="nearest")
    np.testing.assert_array_equal(median_along_z(probability, window), expected)


def test_no_sections_have_no_median() -> None:
    assert median_along_z(np.zeros((0, 4, 4), np.uint8), 3).shape == (0, 4, 4)


class Copying:
    """A network whose probabilities are its input, from 0 to 1."""

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        return np.clip(images, 0, 1)


def _model() -> Model:
    network: Any = Copying()
    return Model(network, Hyperparameters(depth=1, tile_size=8), 0.5, {})


def _volume(raw: np.ndarray, mask: np.ndarray) -> Volume:
    return Volume(raw, mask, None, ())


def tune_on(
    model: Model, volume: Volume, *blocks: range, threshold: float | None = None
) -> tuple[Model, Scores]:
    tuned = tune(model, [Judge(model, volume, block) for block in blocks], threshold=threshold)
    return tuned.model, tuned.scores


def test_what_one_section_alone_shows_is_taken_away() -> None:
    mask = np.zeros((12, 16, 16), np.uint8)
    mask[:, 4:8, 4:8] = 1
    raw = mask * np.uint8(200)
    raw[5, 10:14, 10:14] = 200
    tuned, scores = tune_on(_model(), _volume(raw, mask), range(12))
    assert tuned.z_median == 3
    assert scores.dice == 1.0
    np.testing.assert_array_equal(tuned.segment(tuned.predict(raw)), mask)


def test_where_a_median_only_harms_there_is_none() -> None:
    mask = np.zeros((12, 16, 16), np.uint8)
    mask[::2, 4:8, 4:8] = 1
    tuned, scores = tune_on(_model(), _volume(mask * np.uint8(200), mask), range(12))
    assert (tuned.z_median, scores.dice) == (1, 1.0)


class Lopsided:
    """A network that finds an object only where it lies in the upper left of what it is shown."""

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        probability = np.clip(images, 0, 1)
        probability[:, images.shape[1] // 2 :] = 0
        probability[:, :, images.shape[2] // 2 :] = 0
        return probability


def test_eight_views_are_taken_where_they_find_more() -> None:
    mask = np.zeros((4, 16, 16), np.uint8)
    mask[:, 10:14, 10:14] = mask[:, 2:5, 2:5] = 1
    raw, lopsided = mask * np.uint8(200), Lopsided()
    tuned, scores = tune_on(replace(_model(), network=lopsided), _volume(raw, mask), range(4))
    assert (tuned.views, scores.dice) == (8, 1.0)
    np.testing.assert_array_equal(tuned.segment(tuned.predict(raw)), mask)


def test_where_all_views_agree_one_is_enough() -> None:
    mask = np.zeros((4, 16, 16), np.uint8)
    mask[:, 10:14, 10:14] = 1
    tuned, _ = tune_on(_model(), _volume(mask * np.uint8(200), mask), range(4))
    assert tuned.views == 1


class Nearsighted:
    """A network that finds nothing along the borders of what it is shown."""

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        probability = np.zeros_like(images)
        probability[:, 2:-2, 2:-2] = np.clip(images[:, 2:-2, 2:-2], 0, 1)
        return probability


class Shortsighted:
    """A network that finds nothing where it is shown more than a tile."""

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        seen = np.clip(images, 0, 1)
        return seen if images.shape[1] <= 8 else np.zeros_like(seen)


def _object() -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((4, 16, 16), np.uint8)
    mask[:, 5:11, 5:11] = 1
    return mask * np.uint8(200), mask


def test_windows_are_taken_where_they_find_more() -> None:
    raw, mask = _object()
    network: Any = Shortsighted()
    tuned, scores = tune_on(replace(_model(), network=network), _volume(raw, mask), range(4))
    assert tuned.windows is not None
    assert (tuned.windows.size, scores.dice) == (8, 1.0)
    np.testing.assert_array_equal(tuned.segment(tuned.predict(raw)), mask)


@pytest.mark.parametrize("network", [Copying(), Nearsighted()])
def test_sections_stay_whole_where_windows_find_no_more(network: Any) -> None:
    raw, mask = _object()
    tuned, _ = tune_on(replace(_model(), network=network), _volume(raw, mask), range(4))
    assert tuned.windows is None


def test_no_window_is_as_large_as_a_section() -> None:
    raw, mask = _object()
    small = replace(_model(), hyperparameters=Hyperparameters(depth=1, tile_size=16))
    assert tune_on(small, _volume(raw, mask), range(4))[0].windows is None


def test_a_threshold_that_is_given_is_kept() -> None:
    mask = np.zeros((4, 16, 16), np.uint8)
    mask[:, 4:8, 4:8] = 1
    raw = mask * np.uint8(200)
    raw[:, 10:14, 10:14] = 120
    free, best = tune_on(_model(), _volume(raw, mask), range(4))
    kept, scores = tune_on(_model(), _volume(raw, mask), range(4), threshold=0.5)
    assert free.threshold > 0.5
    assert best.dice == 1.0
    assert (kept.threshold, scores.threshold) == (0.5, 0.5)
    assert scores.dice < 1.0


def test_only_the_sections_that_are_named_judge() -> None:
    mask = np.zeros((12, 16, 16), np.uint8)
    mask[:, 4:8, 4:8] = 1
    raw = mask * np.uint8(200)
    raw[2, 10:14, 10:14] = 200
    tuned, _ = tune_on(_model(), _volume(raw, mask), range(6, 12))
    assert tuned.z_median == 1


def _with_speck() -> tuple[np.ndarray, np.ndarray]:
    """An object through all sections, and one that is false and as deep, but thin."""
    mask = np.zeros((12, 32, 32), np.uint8)
    mask[:, 4:14, 4:14] = 1
    raw = mask * np.uint8(200)
    raw[:, 25, 25] = 200
    return raw, mask


def test_small_objects_are_taken_away_where_they_are_false() -> None:
    raw, mask = _with_speck()
    tuned, scores = tune_on(_model(), _volume(raw, mask), range(12))
    assert (tuned.smallest_object_voxels, tuned.z_median, tuned.views) == (13, 1, 1)
    assert scores.dice == 1.0
    np.testing.assert_array_equal(tuned.segment(tuned.predict(raw)), mask)


def test_a_step_that_is_worth_next_to_nothing_is_not_taken() -> None:
    raw, mask = _with_speck()
    raw[1:, 25, 25] = 0  # one voxel of 1,201, which a median would take away as well
    tuned, scores = tune_on(_model(), _volume(raw, mask), range(12))
    assert (tuned.smallest_object_voxels, tuned.z_median) == (0, 1)
    assert scores.dice == pytest.approx(2400 / 2401)


def test_models_beside_it_are_judged_together_with_it() -> None:
    raw, mask = _with_speck()
    true = mask.copy()
    true[6:, 25, 25] = 1  # in the second half it is an object
    alone, _ = tune_on(_model(), _volume(raw, true), range(6))
    both, scores = tune_on(_model(), _volume(raw, true), range(6), range(6, 12))
    assert (alone.smallest_object_voxels, both.smallest_object_voxels) == (7, 0)
    assert scores.voxels == mask.size


def test_volumes_are_tuned_together_and_scored_each() -> None:
    raw, mask = _with_speck()
    easy = Judge(_model(), _volume(mask * np.uint8(200), mask), range(12), "easy")
    hard = Judge(_model(), _volume(raw[:6], 1 - mask[:6]), range(6), "hard")
    tuned = tune(_model(), [easy, hard, replace(hard, sections=range(2))], threshold=0.5)
    assert tuned.by_volume.keys() == {"easy", "hard"}
    assert tuned.by_volume["easy"].dice == 1.0
    assert tuned.by_volume["hard"].dice < 0.1
    assert tuned.by_volume["hard"].voxels == 8 * mask[0].size
    assert tuned.scores.voxels == 20 * mask[0].size
    assert {scores.threshold for scores in tuned.by_volume.values()} == {0.5}


def test_a_block_is_judged_at_the_grey_scale_of_its_whole_volume() -> None:
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 100, (20, 16, 16)).astype(np.uint8)
    raw[10:] += 100
    judge = Judge(_model(), _volume(raw, np.zeros_like(raw)), range(10, 20))
    whole = _model().predict(raw)
    np.testing.assert_array_equal(judge.predict(1), whole[10:])
