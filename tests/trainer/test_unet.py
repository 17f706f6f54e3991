from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from trainer.hyperparameters import CHOICES, Hyperparameters
from trainer.unet import build_unet, with_probability

pytestmark = pytest.mark.usefixtures("device")


def hyperparameters(**values: Any) -> Hyperparameters:
    return Hyperparameters(**{"depth": 1, "filters": 4, "tile_size": 32, **values})


def predict(network: keras.Model, *shape: int) -> Any:
    raw = np.random.default_rng(0).random((*shape, 1)).astype(np.float32)
    return network(raw, training=False)


def layers(network: keras.Model, kind: type) -> list[Any]:
    return [layer for layer in network.layers if isinstance(layer, kind)]


def trainable(network: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_any_multiple_of_the_halvings_keeps_its_size(depth: int) -> None:
    network = build_unet(hyperparameters(depth=depth, filters=2))
    for height, width in [(1, 1), (3, 2), (1, 5)]:
        shape = (2, height * 2**depth, width * 2**depth)
        assert tuple(predict(network, *shape).shape) == (*shape, 1)


@pytest.mark.parametrize(
    "name", ["kernel", "activation", "normalization", "upsampling", "block", "gate"]
)
def test_every_choice_builds_and_gives_logits(name: str) -> None:
    outputs = set()
    for word in CHOICES[name]:
        keras.utils.set_random_seed(0)
        output = np.asarray(
            predict(build_unet(hyperparameters(**{name: word}, filters=16)), 1, 8, 8)
        )
        assert np.isfinite(output).all()
        outputs.add(output.tobytes())
    assert len(outputs) == len(CHOICES[name])


@pytest.mark.parametrize("stock", [False, True])
def test_the_parameters_are_counted(stock: bool) -> None:
    network = build_unet(Hyperparameters(filters=16, depth=4), stock=stock)
    assert trainable(network) == 1_942_289


@pytest.mark.parametrize(
    ("kernel", "size", "repeats"), [("3x3", 3, 2), ("effective_5x5", 3, 3), ("5x5", 5, 2)]
)
def test_a_kernel_is_so_many_convolutions_a_level(kernel: str, size: int, repeats: int) -> None:
    network = build_unet(hyperparameters(kernel=kernel, depth=2))
    sizes = [layer.kernel_size for layer in layers(network, keras.layers.Conv2D)]
    # Five levels (two down, the centre, two up), two transposed convolutions, the logits.
    assert sizes.count((size, size)) == 5 * repeats
    assert sizes.count((1, 1)) == 1


def test_every_level_has_twice_the_filters_of_the_one_above() -> None:
    network = build_unet(hyperparameters(depth=3, filters=6))
    names = ["down_0", "down_1", "down_2", "centre", "up_2", "up_1", "up_0"]
    filters = [network.get_layer(f"{name}_conv_1").filters for name in names]
    assert filters == [6, 12, 24, 48, 24, 12, 6]


@pytest.mark.parametrize("normalization", CHOICES["normalization"])
def test_only_convolutions_without_a_normalization_have_a_bias(normalization: str) -> None:
    network = build_unet(hyperparameters(normalization=normalization))
    assert network.get_layer("centre_conv_0").use_bias == (normalization == "none")
    assert network.get_layer("logits").use_bias


@pytest.mark.parametrize("kernel", CHOICES["kernel"])
def test_dropout_is_once_in_every_level(kernel: str) -> None:
    network = build_unet(hyperparameters(depth=2, dropout=0.3, kernel=kernel))
    rates = [layer.rate for layer in layers(network, keras.layers.Dropout)]
    assert rates == [0.3] * 5


def test_no_dropout_adds_no_layer() -> None:
    assert not layers(build_unet(hyperparameters(dropout=0.0)), keras.layers.Dropout)


@pytest.mark.parametrize("normalization", CHOICES["normalization"])
def test_a_stock_network_consists_of_keras_layers_alone(normalization: str) -> None:
    network = build_unet(hyperparameters(normalization=normalization, dropout=0.1), stock=True)
    for layer in with_probability(network).layers:
        assert type(layer).__module__.startswith("keras.")


def test_stock_and_fused_networks_exchange_their_weights() -> None:
    fused, stock = (build_unet(hyperparameters(depth=2), stock=flag) for flag in (False, True))
    assert [w.path for w in fused.weights] == [w.path for w in stock.weights]
    random = np.random.default_rng(0)
    stock.set_weights([random.uniform(0.1, 0.4, w.shape) for w in stock.weights])
    fused.set_weights(stock.get_weights())
    one, other = (np.asarray(predict(network, 1, 16, 16)) for network in (fused, stock))
    assert one.std() > 0.1
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("normalization", CHOICES["normalization"])
def test_bfloat16_keeps_weights_and_logits_in_float32(normalization: str) -> None:
    hp = hyperparameters(normalization=normalization, dropout=0.1)
    network = build_unet(hp, precision="mixed_bfloat16")
    assert network.get_layer("centre_conv_0").compute_dtype == "bfloat16"
    assert {w.dtype for w in network.weights} == {"float32"}
    output = predict(network, 1, 8, 8)
    assert keras.backend.standardize_dtype(output.dtype) == "float32"
    assert np.isfinite(np.asarray(output)).all()


def test_probabilities_are_the_sigmoid_of_the_logits() -> None:
    network = build_unet(hyperparameters())
    logits = np.asarray(predict(network, 1, 8, 8))
    probability = np.asarray(predict(with_probability(network), 1, 8, 8))
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-logits)), rtol=1e-5)


def test_a_change_in_a_corner_reaches_the_logits_far_away_through_the_centre() -> None:
    network = build_unet(hyperparameters(depth=3, normalization="none"))
    raw = np.zeros((2, 32, 32, 1), np.float32)
    raw[1, :8, :8] = 1
    one, other = np.asarray(network(raw))
    # Seven levels of one 3 x 3 kernel after the other would reach 14 voxels.
    assert (one[8 + 16 :, 8 + 16 :] != other[8 + 16 :, 8 + 16 :]).any()


@pytest.mark.parametrize("level", [0, 1])
def test_every_level_reaches_the_logits_over_its_bridge(level: int) -> None:
    network = build_unet(hyperparameters(depth=2))
    for weight in network.get_layer(f"up_{level}_transpose").weights:
        weight.assign(np.zeros(weight.shape))
    assert np.asarray(predict(network, 1, 16, 16)).std() > 0.01


def test_resizing_has_no_transposed_convolution() -> None:
    names = [
        layer.name for layer in build_unet(hyperparameters(upsampling="resize", depth=2)).layers
    ]
    assert not any("transpose" in name for name in names)
    assert sum(name.endswith("_smooth") for name in names) == 2


@pytest.mark.parametrize("values", [{}, {"dimensions": "3d", "tile_sections": 4}])
def test_a_stem_makes_squares_of_voxels_one_and_tells_them_apart_again(
    values: dict[str, Any],
) -> None:
    run = hyperparameters(stem_stride=4, **values)
    assert run.halvings == 8
    network = build_unet(run)
    sections = (4,) if run.is_3d else ()
    logits = np.asarray(predict(network, 1, *sections, 16, 24))
    assert logits.shape == (1, *sections, 16, 24, 1)
    assert network.get_layer("down_0_act_1").output.shape[-1] == run.level_filters[0]
    inside = keras.Model(network.inputs[0], network.get_layer("down_0_act_1").output)
    assert np.asarray(predict(inside, 1, *sections, 16, 24)).shape[-3:-1] == (4, 6)
    # Within the square that became one voxel no two logits are alike.
    assert len(np.unique(logits[(0,) * (1 + len(sections))][:4, :4])) == 16


def test_a_residual_level_passes_its_input_on_where_its_convolutions_give_nothing() -> None:
    network = build_unet(hyperparameters(block="residual", normalization="none"))
    for layer in network.layers:
        if "centre_conv" in layer.name:
            layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    centre = keras.Model(network.inputs[0], network.get_layer("centre_act_1").output)
    shortcut = keras.Model(network.inputs[0], network.get_layer("centre_shortcut").output)
    x = np.random.default_rng(0).random((1, 16, 16, 1), np.float32)
    np.testing.assert_allclose(centre(x), np.maximum(shortcut(x), 0), atol=1e-6)


def test_a_gate_weighs_each_voxel_of_its_bridge_between_0_and_1() -> None:
    network = build_unet(hyperparameters(gate="attention"))
    outputs = [
        network.get_layer(name).output for name in ("down_0_act_1", "up_0_gate", "up_0_gated")
    ]
    x = np.random.default_rng(0).random((1, 16, 16, 1), np.float32)
    bridge, weight, gated = (np.asarray(out) for out in keras.Model(network.inputs[0], outputs)(x))
    assert weight.shape == (1, 16, 16, 1)
    assert 0 < weight.min() < weight.max() < 1
    np.testing.assert_allclose(gated, bridge * weight, rtol=1e-5)


def solid(**values: Any) -> Hyperparameters:
    return hyperparameters(**{"dimensions": "3d", "tile_sections": 8, "depth": 2, **values})


@pytest.mark.parametrize("stock", [False, True])
@pytest.mark.parametrize(
    "values",
    [
        {},
        {
            "planar_levels": 1,
            "normalization": "layer",
            "upsampling": "resize",
            "block": "residual",
            "gate": "attention",
            "kernel": "5x5",
            "dropout": 0.1,
        },
        {"normalization": "group", "filters": 16, "kernel": "effective_5x5", "centre_levels": 1},
        {"normalization": "none", "planar_levels": 8, "outer_levels": -1},
    ],
)
def test_a_3d_network_keeps_the_size_of_any_multiple(values: dict[str, Any], stock: bool) -> None:
    run = solid(**values)
    network = build_unet(run, stock=stock)
    shape = (1, 3 * run.section_halvings, 2 * run.halvings, run.halvings)
    output = np.asarray(predict(network, *shape))
    assert output.shape == (*shape, 1)
    assert np.isfinite(output).all()
    assert output.std() > 0


def test_planar_levels_look_at_no_other_section() -> None:
    network = build_unet(solid(planar_levels=8, normalization="none"))
    raw = np.random.default_rng(0).random((1, 5, 8, 8, 1)).astype(np.float32)
    whole = np.asarray(network(raw))
    for section in range(5):
        alone = np.asarray(network(raw[:, section : section + 1]))
        np.testing.assert_allclose(whole[:, section : section + 1], alone, atol=1e-5)


def test_the_first_level_pools_and_convolves_where_the_plan_says() -> None:
    network = build_unet(solid(planar_levels=1, depth=3, tile_sections=16))
    kernels = {layer.name: layer.kernel_size for layer in layers(network, keras.layers.Conv3D)}
    assert {kernels[f"{way}_0_conv_{n}"] for way in ("down", "up") for n in (0, 1)} == {(1, 3, 3)}
    assert {size for name, size in kernels.items() if "_1_conv" in name} == {(3, 3, 3)}
    pools = [layer.pool_size for layer in layers(network, keras.layers.MaxPooling3D)]
    assert pools == [(1, 2, 2), (2, 2, 2), (2, 2, 2)]
    ups = [layer.strides for layer in layers(network, keras.layers.Conv3DTranspose)]
    assert ups == pools[::-1]


def test_fused_and_stock_3d_networks_share_their_weights() -> None:
    fused, stock = (build_unet(solid(), stock=flag) for flag in (False, True))
    stock.set_weights(fused.get_weights())
    raw = (2, 8, 16, 8)
    np.testing.assert_allclose(predict(fused, *raw), predict(stock, *raw), atol=1e-5)
