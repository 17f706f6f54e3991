"""The card of a model folder as it is read back: what it has to hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.views import VIEWS

CARD_FORMAT = 1
"""Of the cards that are written and read."""


def read_card(path: Path) -> dict[str, Any]:
    """Reads and checks a card, and nothing heavy.

    Raises:
        InputError: There is none, or it cannot be used.
    """
    card = _read_json(path)
    for key, fits in _CHECKS.items():
        if not isinstance(card, dict) or not fits(card.get(key)):
            got = card.get(key) if isinstance(card, dict) else card
            raise InputError(
                f"{path}: expected a model card with a usable {key!r}, got {got!r}; "
                "export the model again"
            )
    try:
        for hyperparameters in (card["hyperparameters"], *(card.get("members") or ())):
            Hyperparameters.from_mapping(hyperparameters)
    except InputError as error:
        raise InputError(f"{path}: {error}; export the model again") from error
    return dict(card)


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise InputError(
            f"{path.parent}: expected a model folder with {path.name}, found none; "
            "name a folder that `unet-search run` or `unet-search export` wrote"
        )
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, got: {error}; export the model again") from error


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _are_hashes(value: Any) -> bool:
    """Whether it names files inside the folder, and their hashes."""
    return isinstance(value, dict) and all(
        isinstance(text, str) and not Path(name).is_absolute() and ".." not in Path(name).parts
        for name, text in value.items()
    )


def _are_members(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(m, dict) for m in value)


def _is_postprocessing(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("z_median_sections") in range(1, 100, 2)
        and value.get("views") in VIEWS
        and _is_count(value.get("smallest_object_voxels", 0))
        and _is_windows(value.get("windows"))
    )


def _is_windows(value: Any) -> bool:
    """Whether sections are whole, or divided in a way that can be."""
    if value is None:
        return True
    return (
        isinstance(value, dict)
        and _is_count(value.get("size"))
        and value["size"] > 0
        and type(value.get("overlap")) in (int, float)
        and 0 <= value["overlap"] < 1
    )


def _is_data(value: Any) -> bool:
    """Whether what it says of volumes can be read; what it does not say is not asked for."""
    if not isinstance(value, dict):
        return False
    volumes = value.get("volumes") or [value]
    return isinstance(volumes, list) and all(map(_is_volume, volumes))


def _is_volume(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    file = value.get("file")
    return (file is None or _is_volume(file)) and all(
        fits(value[key]) for key, fits in _OF_A_VOLUME.items() if key in value
    )


def _is_block(value: Any) -> bool:
    """Whether it is the first section and the end of some."""
    return isinstance(value, list) and len(value) == 2 and all(map(_is_count, value))


_OF_A_VOLUME: Mapping[str, Callable[[Any], bool]] = {
    "sha256": lambda value: isinstance(value, str),
    "raw_sha256": lambda value: isinstance(value, str),
    "train": _is_block,
    "validation": _is_block,
    "holdout": lambda value: value is None or _is_block(value),
    "gap": _is_count,
    "holdout_gap": lambda value: value is None or _is_count(value),
}

_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "format": lambda value: value == CARD_FORMAT,
    "sha256": lambda value: isinstance(value, str),
    "hashes": lambda value: value is None or _are_hashes(value),
    "members": lambda value: value is None or _are_members(value),
    "hyperparameters": lambda value: isinstance(value, dict),
    "threshold": lambda value: type(value) in (int, float) and 0 <= value <= 1,
    "data": lambda value: value is None or _is_data(value),
    "postprocessing": _is_postprocessing,
}
