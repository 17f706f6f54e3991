from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainer import output_folder as module
from trainer.errors import InputError
from trainer.output_folder import OutputFolder

REFUSED = r"^--out: expected a folder that can be written, got "


def results(path: Path) -> OutputFolder:
    return OutputFolder(path, "facts.json", ("page.html", "section-*.png"))


def contents(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in path.iterdir() if each.name != "facts.json"}


def test_an_earlier_result_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out"
    for number, files in enumerate(
        ({"page.html": b"old", "section-1.png": b"1"}, {"page.html": b"new", "section-2.png": b"2"})
    ):
        results(path).prepare()
        (path / "mine.txt").write_text("mine")
        record = results(path).write({"number": number}, files)
        assert record == {"number": number, "files": sorted(files)}
        assert json.loads((path / "facts.json").read_text()) == record
    assert contents(path) == {"mine.txt": b"mine", "page.html": b"new", "section-2.png": b"2"}


@pytest.mark.parametrize("name", ["facts.json", "page.html", "section-7.png"])
def test_a_file_of_the_users_is_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("[1, 2]")
    with pytest.raises(InputError, match=f"expected a folder without a {name} of somebody else's"):
        results(tmp_path).prepare()
    assert [each.read_text() for each in tmp_path.iterdir()] == ["[1, 2]"]


def test_a_picture_that_no_earlier_run_has_written_is_the_users(tmp_path: Path) -> None:
    results(tmp_path).write({}, {"page.html": b"old"})
    (tmp_path / "section-7.png").write_text("mine")
    with pytest.raises(InputError, match=r"without a section-7\.png of somebody else's"):
        results(tmp_path).check()


def test_a_record_that_names_other_files_has_none_deleted(tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text(json.dumps({"files": ["mine.txt", "../up.txt"]}))
    for mine in (tmp_path / "mine.txt", tmp_path.parent / "up.txt"):
        mine.write_text("mine")
    results(tmp_path).write({}, {"page.html": b"new"})
    assert contents(tmp_path) == {"mine.txt": b"mine", "page.html": b"new"}
    assert (tmp_path.parent / "up.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=REFUSED):
            results(folder).prepare()


def test_a_model_folder_is_refused(tmp_path: Path) -> None:
    results(tmp_path).check()
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(InputError, match="expected no model folder"):
        results(tmp_path).check()


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
        results(tmp_path).write({}, {"page.html": b"a", "section-1.png": b"b"})
    assert len(written) == 2
    assert list(tmp_path.iterdir()) == []
