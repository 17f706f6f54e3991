from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.earlier_model import EarlierModel
from trainer.ensemble import combine
from trainer.hyperparameters import Hyperparameters
from trainer.model import CARD_FILE, NETWORK_FILE, Model, save_model, sha256


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ([8, 5.5, 5], (8.0, 5.5, 5.0)),
        (["coarse", "fine", "fine"], None),
        ("8 x 5 x 5", None),
        ([8, 5], None),
        ([8, 5, 0], None),
        ([8, None, 5], None),
        (None, None),
    ],
)
def test_the_voxel_size_of_its_data_is_three_lengths_or_unknown(
    tmp_path: Path, said: Any, size: tuple[float, ...] | None
) -> None:
    write_model(tmp_path, data={"voxel_size_nm": said})
    assert EarlierModel.read(tmp_path).voxel_size_nm == size


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning:keras.src.backend"
)
def test_of_an_ensemble_the_first_network_is_gone_on_from(device: Any, tmp_path: Path) -> None:
    from trainer.unet import build_unet, with_probability

    run = Hyperparameters(depth=1, filters=2, tile_size=16)
    models = [Model(with_probability(build_unet(run, stock=True)), run, 0.5, {}) for _ in range(2)]
    save_model(combine(models), tmp_path / "ensemble")
    weights = EarlierModel.read(tmp_path / "ensemble").weights()
    first = models[0].network.weights
    assert set(weights) == {weight.path for weight in first}
    for weight in first:
        np.testing.assert_array_equal(weights[weight.path], weight)


def write_model(folder: Path, **more: Any) -> None:
    (folder / NETWORK_FILE).write_bytes(b"weights")
    card = {
        "format": 1,
        "sha256": sha256(folder / NETWORK_FILE),
        "hyperparameters": Hyperparameters().to_mapping(),
        "threshold": 0.5,
        "postprocessing": {"views": 1, "z_median_sections": 1},
        **more,
    }
    (folder / CARD_FILE).write_text(json.dumps(card))
