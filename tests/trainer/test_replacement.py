from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trainer.replacement import make_room, replace_folder


def write(folder: Path, text: str) -> None:
    with replace_folder(folder) as new:
        (new / "a.txt").write_text(text)


def test_a_new_folder_appears_with_its_parents(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "model", "new")
    assert (tmp_path / "runs" / "model" / "a.txt").read_text() == "new"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["model"]


def test_the_new_one_takes_the_place_of_all_of_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "b.txt").write_text("old")
    write(folder, "new")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "a.txt"]


def test_nothing_is_there_before_everything_is_written(tmp_path: Path) -> None:
    with replace_folder(tmp_path / "model") as new:
        assert not (tmp_path / "model").exists()
        assert list(new.iterdir()) == []


def test_what_fails_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "model", "old")
    with pytest.raises(TypeError):
        write(tmp_path / "model", None)  # type: ignore[arg-type]
    assert (tmp_path / "model" / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_old_folder_comes_back_when_the_new_one_cannot_be_placed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "model", "old")
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if ".partial-" in path.name:
            raise PermissionError("not now")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(PermissionError):
        write(tmp_path / "model", "new")
    assert (tmp_path / "model" / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def leave(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "a.txt").write_text(text)


@pytest.mark.parametrize("process", [os.getpid, gone])
def test_leftovers_of_a_killed_process_are_cleared(
    tmp_path: Path, process: Callable[[], int]
) -> None:
    write(tmp_path / "model", "old")
    for kind in ("partial", "old"):
        leave(tmp_path / f".model.{kind}-{process()}", "half")
    write(tmp_path / "model", "new")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "model"]
    assert (tmp_path / "model" / "a.txt").read_text() == "new"


def test_what_a_running_process_or_another_folder_has_is_left_alone(tmp_path: Path) -> None:
    names = [f".model.partial-{os.getppid()}", f".model.old-{os.getppid()}"]
    names += [f".model.2.old-{gone()}", f".models.partial-{gone()}", ".model.old-x"]
    for name in names:
        leave(tmp_path / name, "mine")
    write(tmp_path / "model", "new")
    assert {path.name for path in tmp_path.iterdir()} == {"model", *names}


def test_the_only_folder_of_a_process_killed_between_its_renames_is_put_back(
    tmp_path: Path,
) -> None:
    process = gone()
    leave(tmp_path / f".model.old-{process}", "old")
    leave(tmp_path / f".model.partial-{process}", "new")
    with pytest.raises(TypeError):
        write(tmp_path / "model", None)  # type: ignore[arg-type]
    assert (tmp_path / "model" / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_link_keeps_leading_to_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "disk" / "model", "old")
    (tmp_path / "model").symlink_to(tmp_path / "disk" / "model")
    write(tmp_path / "model", "new")
    assert (tmp_path / "model").is_symlink()
    assert (tmp_path / "disk" / "model" / "a.txt").read_text() == "new"


def test_a_folder_that_cannot_be_replaced_is_found_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_room(tmp_path / "new")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match="the folder that this command runs in"):
        make_room(Path())
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "disk")
    with pytest.raises(OSError, match="a mount point"):
        make_room(tmp_path / "disk")
