from __future__ import annotations

import re
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


def readme(data: dict[str, Any], **more: Any) -> str:
    hp = Hyperparameters(depth=1, filters=2)
    model = Model(Network(), hp, 0.5, {})
    publication = Publication("n", "d")
    card = {"data": data, **more}
    described = {**card, **describe_model(model, card, publication)}
    return write_readme(model, described, "n.bioimage.io.zip")


def test_several_volumes_are_listed_one_by_one() -> None:
    text = readme({"voxel_size_nm": SIZE, "volumes": [FIRST, SECOND]})
    assert "Trained on 2 volumes, with voxels of 8 x 5 x 5 nm" in text
    assert "- voxel size in nm (z, y, x): 8 x 5 x 5\n" in text
    assert "- volume old, SHA-256 of volume and mask: aa\n" in text
    assert "- volume old, training sections: 0 to 4\n" in text
    assert "- volume new, voxels (z, y, x): 8 x 30 x 20\n" in text


@pytest.mark.parametrize("data", [FIRST | {"voxel_size_nm": SIZE}, {"volumes": [FIRST]}])
def test_one_volume_is_one_volume(data: dict[str, Any]) -> None:
    assert "Trained on one volume, with voxels of" in readme(data)
    assert "training sections: 0 to 4\n" in readme(data)


def test_held_out_sections_that_resemble_those_learned_from_are_told() -> None:
    near = "gives the true score, but for 0 sections beside them that were left out, not 1."
    assert near in readme({"volumes": [SECOND, FIRST | {"holdout_gap": 0}]})
    for data in (FIRST, FIRST | {"holdout_gap": 4}):
        assert "on sections held out gives the true score.\n" in readme(data)


def test_scores_finalists_and_training_are_told_in_words() -> None:
    card = {
        "validation": {
            "dice": 0.5,
            "of": "this model",
            "by_volume": {"old": {"dice": 0.25, "voxels": 9}},
        },
        "finalists": [{"number": 4, "value": 0.75, "mean": 0.5, "std": None, "n": 1}],
        "train_on": "all",
    }
    text = readme({"sha256": "aa"}, **card)
    assert "- Dice: 0.5000\n- measured by: this model\n- volume old, Dice: 0.2500\n" in text
    assert "- volume old, voxels: 9\n" in text
    assert (
        "| trial | Dice in the search | mean of its repeats | their deviation | repeats |" in text
    )
    assert "| 4 | 0.7500 | 0.5000 |  | 1 |" in text
    assert "- trained on: all sections but those held out\n" in text
    assert "its threshold was not chosen: it is one half; `unet-search evaluate`" in text
    assert "chosen on the validation sections, which" in readme({"sha256": "aa"})
    assert not re.search(r"[{}\[\]']", text.partition("## Data")[2].partition("## Limits")[0])


def test_only_hyperparameters_that_matter_are_listed() -> None:
    text = readme({"sha256": "aa"})
    assert "learning_rate = 0.001" in text
    assert " momentum" not in text
    assert "Objects below" not in text
