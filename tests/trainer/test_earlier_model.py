from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.earlier_model import EarlierModel
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.model import CARD_FILE, NETWORK_FILE, sha256


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


def test_an_ensemble_has_no_weights_to_go_on_from(tmp_path: Path) -> None:
    write_model(tmp_path, members=[Hyperparameters().to_mapping()] * 2)
    with pytest.raises(InputError, match=r"expected the model of one network .* got an ensemble"):
        EarlierModel.read(tmp_path)


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
