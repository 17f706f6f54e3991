"""A model in every format that others open, in one folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trainer.bioimageio_package import check_publication, write_package
from trainer.card import describe_model, write_readme
from trainer.errors import InputError
from trainer.intensity import Intensity
from trainer.model import (
    NETWORK_FILE,
    ONNX_FILE,
    PACKAGE_ENDING,
    README_FILE,
    SAVED_MODEL,
    Model,
    save_model,
)
from trainer.onnx_model import predict_onnx, write_onnx
from trainer.publication import Publication
from trainer.saved_model import predict_saved_model, write_saved_model

_APART = 1e-3
"""The largest difference between the probabilities of two formats."""


def export_model(
    model: Model, folder: Path, gray: np.ndarray, publication: Publication, *, name: str
) -> dict[str, Any]:
    """Writes all formats whole or not at all, and checks that they give the same probabilities.

    Args:
        model: A float32 network of Keras's own layers, as `build_model`, `combine` and
            `load_model` with `stock=True` give it.
        folder: Gets `model.keras`, `saved_model/`, `model.onnx`, `NAME.bioimage.io.zip`, the card
            `model.json` and the same for people, `README.md`; an older model in it is replaced.
        gray: What to test with, as `cut_specimen` gives it.
        publication: How it is presented to others.
        name: Of the package's file.

    Returns:
        The card.

    Raises:
        InputError: The folder holds something else or cannot be written, or a name or an entry of
            the publication does not do.
    """
    _check_backend()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(
            f"name: expected letters, digits, '.', '_' and '-' for a file's name, got {name!r}"
        )
    check_publication(publication)

    def write_others(new: Path, card: Mapping[str, Any]) -> Mapping[str, Any]:
        facts = describe_model(model, card, publication)
        probability, apart = _write_networks(model, new, gray)
        package = new / f"{name}{PACKAGE_ENDING}"
        facts |= {"largest_difference": apart}
        (new / README_FILE).write_text(write_readme(model, {**card, **facts}, package.name))
        write_package(package, model, {**card, **facts}, publication, gray, probability)
        return facts

    return save_model(model, folder, also=write_others)


def _write_networks(
    model: Model, folder: Path, gray: np.ndarray
) -> tuple[np.ndarray, dict[str, float]]:
    """Writes ONNX and SavedModel beside Keras's file.

    Returns:
        The probabilities of the test, and how far each format's are from them at most.
    """
    images = Intensity.measure(gray).scale(gray)
    expected = np.asarray(model.network(images, training=False))
    write_onnx(model.network, folder / ONNX_FILE)
    write_saved_model(model.network, folder / SAVED_MODEL)
    found = {
        NETWORK_FILE: _predict_keras(folder / NETWORK_FILE, images),
        ONNX_FILE: predict_onnx(folder / ONNX_FILE, images),
        SAVED_MODEL: predict_saved_model(folder / SAVED_MODEL, images),
    }
    apart = {name: float(np.abs(each - expected).max()) for name, each in found.items()}
    for name, difference in apart.items():
        if not difference <= _APART:
            raise RuntimeError(
                f"{name}: expected the network's probabilities within {_APART}, got some "
                f"{difference:g} apart"
            )
    return expected, apart


def _predict_keras(path: Path, images: np.ndarray) -> np.ndarray:
    """As somebody does who has Keras alone."""
    import keras

    return np.asarray(keras.saving.load_model(path, compile=False)(images, training=False))


def _check_backend() -> None:
    import keras

    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"KERAS_BACKEND: expected tensorflow to write a SavedModel and ONNX, got "
            f"{keras.backend.backend()}; a model of either backend can be exported with it"
        )
