"""The folder of a study: whose it is, and that it can be written, before anything is paid for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from search.config import Config
from search.results import model_folder
from storage.database import Database
from trainer.errors import InputError
from trainer.model import check_replaceable

_MARK = "study.json"


def prepare_folder(config: Config, database: Database, token: str | None) -> None:
    """Makes the folder of a study, in which its model will have a place.

    Args:
        config: Of the study.
        database: That holds it.
        token: Of the study; None where it is yet to be made.

    Raises:
        InputError: It cannot be written, another study's checkpoints lie there, or something else
            lies where the model is to be.
    """
    folder = config.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"study.runs: expected a folder that can be written, got {folder}: "
            f"{error.strerror}; choose another"
        ) from None
    mark = _read(folder / _MARK)
    # In the same database the earlier study of the name has been deleted.
    if mark and token != mark.get("study") and mark.get("database") != database.shown:
        raise InputError(
            f"study.name: expected {folder} to be this study's folder, got the one of a study of "
            f"this name in {mark.get('database')}, which needs its checkpoints; go on with that "
            "one, delete the folder, or give this search another study.name"
        )
    check_replaceable(model_folder(config))


def mark_folder(config: Config, database: Database, token: str | None) -> None:
    """Says in the folder whose it is."""
    path = config.folder / _MARK
    temporary = path.with_name(f".{_MARK}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps({"study": token, "database": database.shown}))
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(
            f"study.runs: expected to write {path}, got: {error.strerror}; make room for it"
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        mark = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return mark if isinstance(mark, dict) else {}
