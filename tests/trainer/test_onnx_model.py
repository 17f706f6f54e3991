from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.hyperparameters import CHOICES, Hyperparameters
from trainer.onnx_model import opset_of, predict_onnx, write_onnx

pytestmark = pytest.mark.slow

# Together they have every layer that a network may be made of.
NETWORKS = [
    {"activation": "relu", "normalization": "batch", "kernel": "3x3", "upsampling": "transpose"},
    {"activation": "elu", "normalization": "layer", "block": "residual", "dropout": 0.2},
    {"activation": "gelu", "normalization": "group", "upsampling": "resize", "gate": "attention"},
    {"activation": "silu", "normalization": "none", "kernel": "5x5", "section_channels": 3},
    {"activation": "leaky_relu", "kernel": "effective_5x5", "outer_levels": 1, "stem_stride": 2},
]
LAYERS = ("activation", "normalization", "kernel", "upsampling", "block", "gate")


def test_every_choice_of_a_layer_is_tried() -> None:
    for name in LAYERS:
        default = Hyperparameters().to_mapping()[name]
        assert {values.get(name, default) for values in NETWORKS} == set(CHOICES[name])


@pytest.mark.parametrize("values", NETWORKS, ids=lambda values: str(values["activation"]))
def test_onnx_gives_the_probabilities_of_keras(
    device: Any, tmp_path: Path, values: dict[str, Any]
) -> None:
    from trainer.unet import build_unet, with_probability

    hp = Hyperparameters(depth=1, filters=8, tile_size=32, **values)
    network = with_probability(build_unet(hp, stock=True))
    random = np.random.default_rng(0)
    for weight in network.weights:
        low, high = (0.5, 1.5) if len(weight.shape) == 1 else (-0.3, 0.3)
        weight.assign(random.uniform(low, high, weight.shape))
    write_onnx(network, tmp_path / "model.onnx")
    assert opset_of(tmp_path / "model.onnx") >= 13
    for examples, height, width in ((1, 16, 24), (3, 24, 8)):
        shape = (examples, height, width, hp.section_channels)
        images = random.uniform(-0.2, 1.2, shape).astype(np.float32)
        expected = np.asarray(network(images, training=False))
        assert expected.std() > 0.01
        np.testing.assert_allclose(
            predict_onnx(tmp_path / "model.onnx", images), expected, atol=1e-3
        )
