from __future__ import annotations

from typing import Any

import pytest

from trainer.card import describe_model, write_readme
from trainer.hyperparameters import Hyperparameters
from trainer.model import Model
from trainer.publication import Publication

FIRST = {"name": "old", "sha256": "aa", "shape": [9, 40, 50], "train": [0, 5], "gap": 1}
SECOND = {"name": "new", "sha256": "bb", "shape": [8, 30, 20], "train": [2, 8], "gap": 0}
SIZE = [8.0, 5.0, 5.0]


class Network:
    def count_params(self) -> int:
        return 7


def readme(data: dict[str, Any]) -> str:
    hp = Hyperparameters(depth=1, filters=2)
    model = Model(Network(), hp, 0.5, {})
    publication = Publication("n", "d")
    card = {"data": data}
    described = {**card, **describe_model(model, card, publication)}
    return write_readme(model, described, "n.bioimage.io.zip")


def test_several_volumes_are_listed_one_by_one() -> None:
    text = readme({"voxel_size_nm": SIZE, "volumes": [FIRST, SECOND]})
    assert "Trained on 2 volumes, with voxels of 8 x 5 x 5 nm" in text
    assert "- voxel size in nm (z, y, x): [8.0, 5.0, 5.0]\n" in text
    assert "- volume old, SHA-256 of volume and mask: aa\n" in text
    assert "- volume old, sections trained on, the last one exclusive: [0, 5]\n" in text
    assert "- volume new, voxels (z, y, x): [8, 30, 20]\n" in text


@pytest.mark.parametrize("data", [FIRST | {"voxel_size_nm": SIZE}, {"volumes": [FIRST]}])
def test_one_volume_is_one_volume(data: dict[str, Any]) -> None:
    assert "Trained on one volume, with voxels of" in readme(data)
    assert "sections trained on, the last one exclusive: [0, 5]\n" in readme(data)
