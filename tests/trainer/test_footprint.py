from __future__ import annotations

import math
from typing import Any

import pytest

from trainer.errors import TooLarge
from trainer.footprint import check_footprint, count_weights, estimate_training_bytes
from trainer.hyperparameters import Hyperparameters


def run(**values: Any) -> Hyperparameters:
    return Hyperparameters(**{"depth": 2, "filters": 8, "tile_size": 64, **values})


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kernel": "5x5"},
        {"kernel": "effective_5x5"},
        {"upsampling": "resize"},
        {"section_channels": 5},
        {"outer_levels": 1, "centre_levels": 1},
        {"outer_levels": -1, "depth": 3},
        {"stem_stride": 4, "section_channels": 3},
        {"stem_stride": 2, "dimensions": "3d"},
        {"dimensions": "3d", "section_channels": 5},
        {"dimensions": "3d", "upsampling": "resize", "planar_levels": 1, "tile_sections": 8},
    ],
)
def test_the_weights_are_those_of_the_network(values: dict[str, Any]) -> None:
    from trainer.unet import build_unet

    network = build_unet(run(**values))
    built = sum(math.prod(weight.shape) for weight in network.trainable_variables)
    # Biases and scales are not counted.
    assert 0.97 * built < count_weights(run(**values)) <= built


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"dropout": 0.2},
        {"normalization": "none"},
        {"stem_stride": 2},
        {"dimensions": "3d", "tile_sections": 8},
    ],
)
def test_the_feature_maps_are_those_of_the_network(values: dict[str, Any]) -> None:
    from trainer.unet import build_unet

    hp = run(batch_size=1, **values)
    network = build_unet(hp)
    import keras

    probe = keras.Model(network.inputs, [layer.output for layer in network.layers[2:]])
    outputs = probe.compute_output_spec(keras.KerasTensor((1, *hp.tile_shape, 1)))
    built = 4 * sum(math.prod(output.shape) for output in outputs)
    maps = estimate_training_bytes(hp, "float32") - 16 * count_weights(hp)
    assert maps == pytest.approx(built, rel=0.2)


def test_more_of_anything_needs_more() -> None:
    small = estimate_training_bytes(run(), "mixed_bfloat16")
    for values in (
        {"batch_size": 16},
        {"tile_size": 128},
        {"filters": 16},
        {"depth": 3},
        {"kernel": "effective_5x5"},
        {"centre_levels": 1},
        {"dimensions": "3d"},
        {"ema_momentum": 0.99},
    ):
        assert estimate_training_bytes(run(**values), "mixed_bfloat16") > small
    assert estimate_training_bytes(run(), "float32") > small


def test_half_the_precision_halves_the_maps() -> None:
    weights = 16 * count_weights(run())
    full, half = (estimate_training_bytes(run(), p) for p in ("float32", "mixed_bfloat16"))
    assert full - weights == 2 * (half - weights)


def test_what_cannot_fit_is_refused_in_one_line() -> None:
    needed = estimate_training_bytes(run(), "float32")
    check_footprint(run(), "float32", needed)
    with pytest.raises(TooLarge, match=r"^a step needs at least 0\.\d\d GB and 0\.\d\d GB are all"):
        check_footprint(run(), "float32", needed - 1)
