from __future__ import annotations

from pathlib import Path

import pytest
from small_config import build_config

from search.study_folder import mark_folder, prepare_folder
from storage.database import Database, database_from_environment
from trainer.errors import InputError


def _database(folder: Path) -> Database:
    return database_from_environment(folder, {})


def test_a_folder_stays_with_its_study_wherever_the_database_goes(tmp_path: Path) -> None:
    config, here = build_config(tmp_path), _database(tmp_path)
    prepare_folder(config, here, None)
    mark_folder(config, here, "first")
    prepare_folder(config, here, "first")
    prepare_folder(config, _database(tmp_path / "moved"), "first")
    # Deleted in its database, and begun anew there.
    prepare_folder(config, here, None)
    prepare_folder(config, here, "second")
    assert sorted(path.name for path in config.folder.iterdir()) == ["study.json"]


@pytest.mark.parametrize("token", [None, "second"])
def test_the_folder_of_another_databases_study_is_refused(
    tmp_path: Path, token: str | None
) -> None:
    config, here = build_config(tmp_path), _database(tmp_path)
    prepare_folder(config, here, None)
    mark_folder(config, here, "first")
    with pytest.raises(InputError, match="delete the folder") as caught:
        prepare_folder(config, _database(tmp_path / "other"), token)
    assert here.shown in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_a_mark_that_says_nothing_is_written_anew(tmp_path: Path, text: str) -> None:
    config, here = build_config(tmp_path), _database(tmp_path)
    config.folder.mkdir(parents=True)
    (config.folder / "study.json").write_text(text)
    prepare_folder(config, here, "first")
    mark_folder(config, here, "first")
    with pytest.raises(InputError):
        prepare_folder(config, _database(tmp_path / "other"), None)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    config = build_config(tmp_path, study={"runs": tmp_path / "runs"})
    with pytest.raises(InputError, match="expected a folder that can be written"):
        prepare_folder(config, _database(tmp_path), None)
