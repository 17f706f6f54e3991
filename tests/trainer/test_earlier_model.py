from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.earlier_model import EarlierModel
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
    (tmp_path / NETWORK_FILE).write_bytes(b"weights")
    card = {
        "format": 1,
        "sha256": sha256(tmp_path / NETWORK_FILE),
        "hyperparameters": Hyperparameters().to_mapping(),
        "threshold": 0.5,
        "postprocessing": {"views": 1, "z_median_sections": 1},
        "data": {"voxel_size_nm": said},
    }
    (tmp_path / CARD_FILE).write_text(json.dumps(card))
    assert EarlierModel.read(tmp_path).voxel_size_nm == size
