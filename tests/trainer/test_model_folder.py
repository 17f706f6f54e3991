"""The folder that a model is saved to: its files, what they replace and what they leave alone."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from stub_model import message_of, stub

from trainer.model import CARD_FILE, NETWORK_FILE, save_model, sha256


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_other_files_are_listed_with_their_hashes(tmp_path: Path) -> None:
    def write(folder: Path, card: Any) -> dict[str, Any]:
        (folder / "saved_model").mkdir()
        for name in ("model.onnx", "saved_model/a.pb", "README.md", "s.bioimage.io.zip"):
            (folder / name).write_text(name)
        return {"summary": f"of {card['study']}"}

    card = save_model(stub(), tmp_path / "model", also=write)
    assert card["summary"] == "of s"
    assert json.loads((tmp_path / "model" / CARD_FILE).read_text()) == card
    listed = ["model.keras", "model.onnx", "s.bioimage.io.zip", "saved_model/a.pb"]
    assert list(card["hashes"]) == listed
    assert card["hashes"]["model.onnx"] == sha256(tmp_path / "model" / "model.onnx")
    # And the whole of it is an older model that a newer one replaces.
    save_model(stub("new"), tmp_path / "model")
    assert names(tmp_path / "model") == [CARD_FILE, NETWORK_FILE]


def test_a_new_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    save_model(stub(), tmp_path / "a" / "b")
    assert names(tmp_path / "a") == ["b"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    save_model(stub(), tmp_path / "model")
    assert names(tmp_path / "model") == [CARD_FILE, NETWORK_FILE]


def test_an_older_model_is_replaced(tmp_path: Path) -> None:
    save_model(stub("old"), tmp_path / "model")
    (tmp_path / "model" / "saved_model").mkdir()
    save_model(stub("new"), tmp_path / "model")
    assert names(tmp_path / "model") == [CARD_FILE, NETWORK_FILE]
    assert (tmp_path / "model" / NETWORK_FILE).read_text() == "new"
    assert names(tmp_path) == ["model"]


@pytest.mark.parametrize("others", [["notes.txt"], [NETWORK_FILE], [CARD_FILE, "shard1of1.bin"]])
def test_a_folder_that_holds_something_else_is_left_alone(
    tmp_path: Path, others: list[str]
) -> None:
    for name in others:
        (tmp_path / name).write_text("mine")
    message = message_of(lambda: save_model(stub(), tmp_path))
    assert message.startswith(f"{tmp_path}: expected a new or empty folder or an older model")
    assert {(tmp_path / name).read_text() for name in others} == {"mine"}
    assert names(tmp_path) == sorted(others)


def test_a_file_in_the_place_of_the_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("mine")
    message = message_of(lambda: save_model(stub(), tmp_path / "model"))
    assert message.startswith(f"{tmp_path / 'model'}: expected a folder")
    assert (tmp_path / "model").read_text() == "mine"


def test_a_file_in_the_place_of_a_parent_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    message = message_of(lambda: save_model(stub(), tmp_path / "file" / "model"))
    assert "expected a folder to write the model to" in message


def test_a_full_disk_leaves_the_older_model_and_nothing_else(tmp_path: Path) -> None:
    save_model(stub("old"), tmp_path / "model")
    full = OSError(errno.ENOSPC, "No space left on device")
    message = message_of(lambda: save_model(stub("half", full), tmp_path / "model"))
    assert "No space left on device" in message
    assert (tmp_path / "model" / NETWORK_FILE).read_text() == "old"
    assert names(tmp_path) == ["model"]
