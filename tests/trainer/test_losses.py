from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from trainer.hyperparameters import CHOICES, Hyperparameters
from trainer.losses import build_loss, loss_of_probability

pytestmark = pytest.mark.usefixtures("device")

SHAPE = (2, 6, 5, 1)
NAMES = CHOICES["loss"]


def by_hand(name: str, mask: np.ndarray, logits: np.ndarray) -> float:
    probability = 1 / (1 + np.exp(-logits))
    bce = -np.mean(mask * np.log(probability) + (1 - mask) * np.log(1 - probability))
    dice = (2 * np.sum(mask * probability) + 1) / (np.sum(mask) + np.sum(probability) + 1)
    right = mask * probability + (1 - mask) * (1 - probability)
    overlap = np.sum(mask * probability)
    wrong = 0.3 * np.sum((1 - mask) * probability) + 0.7 * np.sum(mask * (1 - probability))
    losses = {
        "bce": bce,
        "dice": 1 - dice,
        "log_dice": -np.log(dice),
        "bce_dice": bce + 1 - dice,
        "focal": np.mean(-((1 - right) ** 2) * np.log(right)),
        "tversky": 1 - (overlap + 1) / (overlap + wrong + 1),
    }
    return float(losses[name])


def example(seed: int = 0, foreground: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    mask = (random.random(SHAPE) < foreground).astype(np.float64)
    return mask, random.normal(0, 3, SHAPE)


def loss(name: str, mask: np.ndarray, logits: np.ndarray, dtype: str = "float64") -> float:
    tensors = (ops.convert_to_tensor(part.astype(dtype)) for part in (mask, logits))
    value = build_loss(Hyperparameters(loss=name))(*tensors)
    assert tuple(value.shape) == ()
    return float(value)


def gradient(name: str, mask: np.ndarray, logits: np.ndarray, dtype: str = "float64") -> np.ndarray:
    import tensorflow as tf

    at = tf.constant(logits, dtype)
    with tf.GradientTape() as tape:
        tape.watch(at)
        value = build_loss(Hyperparameters(loss=name))(tf.constant(mask, dtype), at)
    return np.asarray(tape.gradient(value, at))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("foreground", [0.0, 0.3, 1.0])
def test_each_loss_is_its_formula(name: str, foreground: float) -> None:
    mask, logits = example(foreground=foreground)
    expected = by_hand(name, mask, logits)
    assert loss(name, mask, logits) == pytest.approx(expected, rel=1e-10)
    assert loss(name, mask, logits, "float32") == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("foreground", [0.0, 0.3])
def test_gradients_are_those_of_finite_differences(name: str, foreground: float) -> None:
    mask, logits = example(1, foreground)
    exact, step = gradient(name, mask, logits), 1e-5
    for index in [(0, 0, 0, 0), (0, 3, 2, 0), (1, 5, 4, 0)]:
        moved = np.zeros(SHAPE)
        moved[index] = step
        rise = by_hand(name, mask, logits + moved) - by_hand(name, mask, logits - moved)
        assert exact[index] == pytest.approx(rise / (2 * step), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("height", [-1e4, 0.0, 1e4])
@pytest.mark.parametrize("foreground", [0.0, 0.3, 1.0])
def test_extreme_logits_and_empty_masks_stay_finite(
    name: str, height: float, foreground: float
) -> None:
    mask, _ = example(foreground=foreground)
    logits = np.full(SHAPE, height)
    assert np.isfinite(loss(name, mask, logits, "float32"))
    assert np.isfinite(gradient(name, mask, logits, "float32")).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("foreground", [0.0, 0.3, 1.0])
def test_a_perfect_prediction_costs_nothing(name: str, foreground: float) -> None:
    mask, _ = example(foreground=foreground)
    assert loss(name, mask, 1e4 * (2 * mask - 1), "float32") == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_without_foreground_still_drives_the_logits_down(name: str) -> None:
    assert (gradient(name, np.zeros(SHAPE), np.zeros(SHAPE), "float32") > 0).all()


def test_bce_of_a_wrong_extreme_is_the_logit() -> None:
    assert loss("bce", np.zeros(SHAPE), np.full(SHAPE, 1e4), "float32") == 1e4


def test_dice_is_pooled_over_the_batch() -> None:
    mask, logits = np.zeros(SHAPE), np.full(SHAPE, 1e4)
    mask[1] = 1
    # 30 of 60 voxels are foreground, 60 are predicted; a mean over tiles would be 0.48.
    assert loss("dice", mask, logits) == pytest.approx(1 - 61 / 91)


def test_focal_with_a_gamma_counts_what_is_right_for_less() -> None:
    mask, logits = np.ones(SHAPE), np.full(SHAPE, 3.0)
    values = [
        float(build_loss(Hyperparameters(loss="focal", focal_gamma=gamma))(mask, logits))
        for gamma in (1.0, 2.0, 4.0)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] < loss("bce", mask, logits)


def test_tversky_with_one_half_is_dice_and_with_less_forgives_false_foreground() -> None:
    mask, logits = example()
    half = Hyperparameters(loss="tversky", tversky_alpha=0.5)
    probability = 1 / (1 + np.exp(-logits))
    dice = (2 * np.sum(mask * probability) + 2) / (np.sum(mask) + np.sum(probability) + 2)
    assert float(build_loss(half)(mask, logits)) == pytest.approx(1 - dice)
    everything = np.full(SHAPE, 9.0)
    losses = [
        float(build_loss(Hyperparameters(loss="tversky", tversky_alpha=a))(mask, everything))
        for a in (0.1, 0.5, 0.9)
    ]
    assert losses == sorted(losses)


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_kept_probabilities_is_that_of_the_logits(name: str) -> None:
    random = np.random.default_rng(4)
    logits = random.normal(0, 2, (40, 50)).astype(np.float32)
    mask = (random.random((40, 50)) < 0.3).astype(np.uint8)
    loss = build_loss(Hyperparameters(loss=name))
    kept = np.rint(255 / (1 + np.exp(-logits))).astype(np.uint8)
    exact = float(loss(mask[None, ..., None].astype(np.float32), logits[None, ..., None]))
    assert loss_of_probability(loss, mask * np.uint8(200), kept) == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("truth", [0, 1])
@pytest.mark.parametrize("level", [0, 255])
def test_no_kept_probability_makes_an_infinite_loss(name: str, truth: int, level: int) -> None:
    loss = build_loss(Hyperparameters(loss=name))
    mask, kept = np.full((9, 9), truth, np.uint8), np.full((9, 9), level, np.uint8)
    found = loss_of_probability(loss, mask, kept)
    assert np.isfinite(found)
    assert found <= loss_of_probability(loss, mask, 255 - kept) or truth != bool(level)
