from __future__ import annotations

from pathlib import Path

import pytest

from trainer import output_folder as module
from trainer.errors import InputError
from trainer.output_folder import prepare_folder, refuse_model_folder, write_files

REFUSED = r"^--out: expected a folder that can be written, got "


def test_files_are_written_and_others_stay(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    prepare_folder(folder)
    (folder / "mine.txt").write_text("mine")
    (folder / "a.txt").write_text("old")
    write_files(folder, {"a.txt": b"new", "b.png": b"\x89"})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "mine.txt": b"mine",
        "a.txt": b"new",
        "b.png": b"\x89",
    }


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=REFUSED):
            prepare_folder(folder)


def test_a_model_folder_is_refused(tmp_path: Path) -> None:
    refuse_model_folder(tmp_path)
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(InputError, match="expected no model folder"):
        refuse_model_folder(tmp_path)


def test_a_full_disk_leaves_no_file_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def half(path: Path, content: bytes) -> int:
        written.append(path)
        with path.open("wb") as file:
            file.write(content[:10])
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        return len(content)

    monkeypatch.setattr(module.Path, "write_bytes", half)
    with pytest.raises(InputError, match="No space left on device"):
        write_files(tmp_path, {"a": b"a", "b": b"b", "c": b"c"})
    assert len(written) == 2
    assert list(tmp_path.iterdir()) == []
