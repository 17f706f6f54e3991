from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.errors import InputError
from trainer.journal import Journal

SHAPE = (4, 2, 3)


def begin(output: Path, identity: str = "a", **chosen: Any) -> Journal:
    return Journal(output, SHAPE, np.dtype(np.uint8), {"of": identity}, chosen)


def section(value: int) -> np.ndarray:
    return np.full(SHAPE[1:], value, np.uint8)


def attempt(output: Path, error: BaseException, sections: int, **chosen: Any) -> None:
    with begin(output, **chosen) as journal:
        for number in range(sections):
            journal.append(section(number))
        raise error


def leave(output: Path, sections: int = 2, **chosen: Any) -> None:
    """An attempt that was interrupted."""
    with pytest.raises(KeyboardInterrupt):
        attempt(output, KeyboardInterrupt(), sections, **chosen)


@pytest.mark.parametrize("error", [InputError("a read failed"), KeyboardInterrupt(), OSError()])
def test_sections_that_are_there_are_kept_whatever_happens(
    tmp_path: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        attempt(tmp_path / "a.tif", error, 1)
    with begin(tmp_path / "a.tif") as journal:
        assert journal.resumed_at == 1
        assert np.array_equal(journal.read(0, 1)[0], section(0))
    assert list(tmp_path.iterdir()) == []


def test_sections_are_kept_where_the_next_attempt_adds_none(tmp_path: Path) -> None:
    leave(tmp_path / "a.tif")
    with pytest.raises(InputError), begin(tmp_path / "a.tif"):
        raise InputError("the volume cannot be read")
    with begin(tmp_path / "a.tif") as journal:
        assert journal.resumed_at == 2


@pytest.mark.parametrize("error", [InputError("not a volume"), KeyboardInterrupt()])
def test_nothing_is_kept_where_there_is_nothing(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), begin(tmp_path / "a.tif"):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_what_was_chosen_is_kept_with_the_sections(tmp_path: Path) -> None:
    leave(tmp_path / "a.tif", windows=[64, 0.5])
    with begin(tmp_path / "a.tif", windows=None) as journal:
        assert (journal.resumed_at, journal.chosen) == (2, {"windows": [64, 0.5]})


def test_what_was_chosen_for_no_section_is_chosen_anew(tmp_path: Path) -> None:
    path = tmp_path / ".a.tif.partial" / "identity.json"
    leave(tmp_path / "a.tif", windows=[64, 0.5])
    with begin(tmp_path / "a.tif", "other", windows=None) as journal:
        assert (journal.resumed_at, journal.chosen) == (0, {"windows": None})
        assert json.loads(path.read_text())["chosen"] == {"windows": None}


def test_a_resume_leaves_the_identity_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path / "a.tif")
    monkeypatch.setattr(Path, "write_text", None)
    with begin(tmp_path / "a.tif") as journal:
        assert journal.resumed_at == 2


def test_a_new_identity_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path / "a.tif")
    before = (tmp_path / ".a.tif.partial" / "identity.json").read_text()

    def fail(path: Path, text: str) -> int:
        with path.open("w") as file:
            file.write(text[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(InputError, match="No space left on device"):
        begin(tmp_path / "a.tif", "other")
    assert (tmp_path / ".a.tif.partial" / "identity.json").read_text() == before


def test_no_one_else_can_have_the_folder_while_it_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = []
    remove = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.name == "identity.json":
            with pytest.raises(InputError, match="another process is predicting it"):
                begin(tmp_path / "a.tif")
            refused.append(path)
        remove(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    with begin(tmp_path / "a.tif"):
        pass
    assert len(refused) == 1


def test_a_folder_that_is_removed_at_this_moment_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer import journal as module

    lock, removed = module.fcntl.flock, []

    def late(file: Any, how: int) -> None:
        if not removed:
            shutil.rmtree(tmp_path / ".a.tif.partial")
            removed.append(file)
        lock(file, how)

    monkeypatch.setattr(module.fcntl, "flock", late)
    leave(tmp_path / "a.tif")
    assert removed
    with begin(tmp_path / "a.tif") as journal:
        assert journal.resumed_at == 2


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"File name too long; name another output$"):
        begin(tmp_path / f"{'a' * 250}.tif")

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match=r"a\.tif: cannot be written: Permission denied"):
        begin(tmp_path / "a.tif")


def test_a_disk_that_fills_up_keeps_what_was_written_before(tmp_path: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    leave(tmp_path / "a.tif", 1)
    try:
        # Two sections and a half.
        resource.setrlimit(resource.RLIMIT_FSIZE, (15, limit[1]))
        with pytest.raises(InputError, match=r"a\.tif: cannot be written: File too large"):
            attempt(tmp_path / "a.tif", KeyboardInterrupt(), 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    with begin(tmp_path / "a.tif") as journal:
        assert journal.resumed_at == 2
        assert np.array_equal(journal.read(0, 2), [section(0), section(0)])
