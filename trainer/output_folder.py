"""A folder of the user's that gets a command's results."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from trainer.errors import InputError
from trainer.model import CARD_FILE


def refuse_model_folder(folder: Path) -> None:
    """Keeps results out of a folder that holds a model and is replaced with it.

    Raises:
        InputError: It is such a folder.
    """
    if (folder / CARD_FILE).exists():
        raise InputError(f"--out: expected no model folder, got {folder}; choose another")


def prepare_folder(folder: Path) -> None:
    """Makes the folder before hours of work go into what is to be written there.

    Raises:
        InputError: It cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refusal(folder, error.strerror) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refusal(folder, "no permission")


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes all files under temporary names and then renames them; others in the folder stay.

    Args:
        folder: As `prepare_folder` left it.
        files: Their contents by name.

    Raises:
        InputError: One cannot be written; then none is.
    """
    partial = {name: folder / f".{name}.{os.getpid()}.partial" for name in files}
    try:
        try:
            for name, content in files.items():
                partial[name].write_bytes(content)
            for name, path in partial.items():
                path.replace(folder / name)
        finally:
            for path in partial.values():
                path.unlink(missing_ok=True)
    except OSError as error:
        raise _refusal(folder, error.strerror) from None


def _refusal(folder: Path, cause: str | None) -> InputError:
    return InputError(
        f"--out: expected a folder that can be written, got {folder}: {cause}; choose another"
    )
