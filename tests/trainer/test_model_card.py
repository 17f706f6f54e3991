"""A card that somebody has altered: it is refused in a line, or nothing comes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.model_card import CARD_FORMAT, read_card
from trainer.trained_sections import (
    find_guard_gap,
    find_trained_sections,
    find_validation_sections,
)
from trainer.volume import Volume

VOLUME = Volume(np.zeros((12, 4, 5), np.uint8), np.zeros((12, 4, 5), np.uint8), None)
GOOD: dict[str, Any] = {
    "format": CARD_FORMAT,
    "sha256": "ab",
    "hyperparameters": Hyperparameters(depth=1, filters=2).to_mapping(),
    "threshold": 0.5,
    "postprocessing": {"z_median_sections": 1, "views": 1},
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 20) | st.floats() | st.sampled_from(["", "all"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
BLOCKS = st.lists(st.integers(-1, 14), min_size=2, max_size=2) | VALUES
VOLUMES = st.fixed_dictionaries(
    {"sha256": st.just(VOLUME.sha256)},
    optional={
        "raw_sha256": st.just(VOLUME.raw_sha256) | VALUES,
        "train": BLOCKS,
        "validation": BLOCKS,
        "holdout": BLOCKS,
        "gap": st.integers(-1, 5) | VALUES,
        "holdout_gap": st.integers(-1, 5) | VALUES,
        "file": VALUES,
    },
)


def write(folder: Path, card: Any) -> Path:
    (folder / "model.json").write_text(json.dumps(card))
    return folder / "model.json"


@pytest.mark.parametrize(
    "data",
    [
        {"volumes": [1]},
        {"volumes": 3},
        {"sha256": "ab", "train": [1, 2, 3]},
        {"volumes": [{"file": {"gap": -1}}]},
        {"sha256": "ab", "raw_sha256": 3},
    ],
)
def test_what_it_says_of_volumes_has_to_be_readable(tmp_path: Path, data: Any) -> None:
    with pytest.raises(InputError, match="a usable 'data'"):
        read_card(write(tmp_path, {**GOOD, "data": data}))


def test_what_it_does_not_say_is_not_asked_for(tmp_path: Path) -> None:
    card = read_card(write(tmp_path, {**GOOD, "data": {"sha256": VOLUME.sha256}}))
    for train_on in ("train", "all"):
        assert not find_trained_sections({**card, "train_on": train_on}, VOLUME)
    assert not find_validation_sections(card, VOLUME)


@given(data=VOLUMES | st.fixed_dictionaries({"volumes": st.lists(VOLUMES | VALUES)}) | VALUES)
def test_an_altered_card_never_ends_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: Any
) -> None:
    path = write(tmp_path_factory.mktemp("card"), {**GOOD, "data": data})
    said = ""
    for train_on in ("train", "all"):
        try:
            card = {**read_card(path), "train_on": train_on}
            assert find_trained_sections(card, VOLUME).step == 1
            assert find_validation_sections(card, VOLUME).step == 1
            assert find_guard_gap(card, VOLUME) >= 0
        except InputError as error:
            said = str(error)
    assert "\n" not in said
