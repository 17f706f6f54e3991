from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from trainer.normalization import FusedBatchNormalization, build_normalization

pytestmark = pytest.mark.usefixtures("device")

SHAPE = (3, 4, 6, 5)


def example(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(2, 3, shape).astype(np.float32)


def pair(shape: tuple[int, ...] = SHAPE, **options: Any) -> tuple[Any, Any]:
    """The fused layer and Keras's own, both with the same weights of some training."""
    layers = (FusedBatchNormalization(**options), keras.layers.BatchNormalization(**options))
    random = np.random.default_rng(7)
    weights = [random.uniform(0.5, 2, SHAPE[-1]).astype(np.float32) for _ in range(4)]
    for layer in layers:
        layer.build(shape)
        layer.set_weights(weights)
    return layers


def assert_same(one: Any, other: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", [SHAPE, (2, 3, 4, 6, 5)])
@pytest.mark.parametrize("training", [False, True])
def test_outputs_and_statistics_are_those_of_keras(training: bool, shape: tuple[int, ...]) -> None:
    fused, stock = pair(shape, momentum=0.9)
    for seed in range(3):
        x = example(seed, shape)
        assert_same(fused(x, training=training), stock(x, training=training))
    for one, other in zip(fused.weights, stock.weights, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("shape", [(1, 1, 1, 5), (1, 1, 2, 5)])
def test_a_single_voxel_has_statistics(shape: tuple[int, ...]) -> None:
    fused, stock = pair()
    x = example(shape=shape)
    assert_same(fused(x, training=True), stock(x, training=True))
    assert_same(fused.moving_variance, stock.moving_variance)


@pytest.mark.parametrize("shape", [SHAPE, (2, 3, 4, 6, 5)])
def test_gradients_are_those_of_keras(shape: tuple[int, ...]) -> None:
    import tensorflow as tf

    x, weight = tf.constant(example(shape=shape)), example(9, shape)
    gradients = []
    for layer in pair(shape):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(weight * layer(x, training=True) ** 2)
        gradients.append(tape.gradient(value, [x, layer.gamma.value, layer.beta.value]))
    for one, other in zip(*gradients, strict=True):
        assert_same(one, other, 1e-3)


def test_inference_leaves_the_statistics() -> None:
    fused, _ = pair()
    before = fused.get_weights()
    fused(example(), training=False)
    fused(example())
    for one, other in zip(before, fused.get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_a_frozen_layer_uses_its_statistics_in_training() -> None:
    fused, stock = pair()
    fused.trainable = stock.trainable = False
    assert_same(fused(example(), training=True), stock(example(), training=True))
    assert_same(fused.moving_mean, stock.moving_mean)


def test_variables_carry_the_names_of_keras() -> None:
    fused, stock = pair(name="norm")
    assert [v.path for v in fused.weights] == [v.path for v in stock.weights]


@pytest.mark.parametrize("training", [False, True])
def test_bfloat16_goes_through_with_statistics_in_float32(training: bool) -> None:
    fused, _ = pair(dtype="mixed_bfloat16")
    _, stock = pair()
    output = fused(example(), training=training)
    assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"
    assert_same(keras.ops.cast(output, "float32"), stock(example(), training=training), 0.05)
    for one, other in zip(fused.weights, stock.weights, strict=True):
        assert keras.backend.standardize_dtype(one.dtype) == "float32"
        assert_same(one, other, 0.01)


def build(kind: str, filters: int = 16, *, stock: bool = False) -> Any:
    return build_normalization(kind, filters, dtype="float32", stock=stock, name="norm")


def test_none_is_no_layer() -> None:
    assert build("none") is None


def test_batch_is_fused_unless_stock_layers_are_asked_for() -> None:
    assert type(build("batch")) is FusedBatchNormalization
    assert type(build("batch", stock=True)) is keras.layers.BatchNormalization


@pytest.mark.parametrize("stock", [False, True])
def test_batch_statistics_follow_within_some_dozen_steps(stock: bool) -> None:
    layer, x = build("batch", 5, stock=stock), example()
    for _ in range(40):
        layer(x, training=True)
    assert_same(layer.moving_mean, x.mean((0, 1, 2)), 0.05)
    assert_same(layer.moving_variance, x.var((0, 1, 2)), 0.05)


def test_layer_normalizes_each_example_over_its_voxels_and_features() -> None:
    x = example()
    centred = x - x.mean((1, 2, 3), keepdims=True)
    expected = centred / np.sqrt(x.var((1, 2, 3), keepdims=True) + 1e-3)
    layer = build("layer", 5)
    assert_same(layer(x), expected, 1e-4)
    assert [variable.shape for variable in layer.variables] == [(5,), (5,)]


@pytest.mark.parametrize(
    ("filters", "groups"), [(4, 1), (8, 1), (16, 2), (64, 8), (20, 2), (25, 1)]
)
def test_groups_hold_about_eight_features(filters: int, groups: int) -> None:
    layer = build("group", filters)
    assert layer.groups == groups
    x = example(shape=(2, 3, 4, filters))
    grouped = x.reshape(2, 3, 4, groups, -1)
    mean, variance = (f((1, 2, 4), keepdims=True) for f in (grouped.mean, grouped.var))
    expected = ((grouped - mean) / np.sqrt(variance + layer.epsilon)).reshape(x.shape)
    assert_same(layer(x), expected, 1e-4)
