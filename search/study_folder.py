"""The folder of a study, before anything is paid for."""

from __future__ import annotations

from search.config import Config
from search.results import model_folder
from trainer.errors import InputError
from trainer.model import check_replaceable


def prepare_folder(config: Config) -> None:
    """Makes the folder of a study, in which its model will have a place.

    Raises:
        InputError: It cannot be written, or something else lies where the model is to be.
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
    check_replaceable(model_folder(config))
