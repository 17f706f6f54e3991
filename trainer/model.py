"""The model folder: a network that other tools can open, and a card that says what it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.median import median_along_z
from trainer.replacement import replace_folder
from trainer.views import VIEWS

NETWORK_FILE = "model.keras"
CARD_FILE = "model.json"
_SAVED_MODEL = "saved_model"
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network with what belongs to it.

    Attributes:
        network: From intensities (example, y, x, section) to probabilities (example, y, x, 1).
        hyperparameters: Of the run that made it.
        threshold: Foreground is where the probability reaches it.
        card: Everything else that is known about the model, as JSON holds it.
        z_median: Sections of the median along z that follows the network; 1 for none.
        views: 8 where a prediction is the mean over flips and quarter turns, 1 where not.
        smallest_object_voxels: Smaller objects are left out of instances; 0 for none.
    """

    network: Any
    hyperparameters: Hyperparameters
    threshold: float
    card: Mapping[str, Any]
    z_median: int = 1
    views: int = 1
    smallest_object_voxels: int = 0

    def predict(self, raw: np.ndarray) -> np.ndarray:
        """Probabilities of a volume (z, y, x) of any size, as uint8 with 255 for 1."""
        from trainer.intensity import Intensity
        from trainer.predict import predict_sections

        probability = np.empty(raw.shape, np.uint8)
        intensity = Intensity.measure(raw)
        for section, values in predict_sections(
            self.network,
            raw,
            intensity,
            halvings=self.hyperparameters.halvings,
            channels=self.hyperparameters.section_channels,
            views=self.views,
        ):
            probability[section] = values
        return median_along_z(probability, self.z_median)

    def segment(self, probability: np.ndarray) -> np.ndarray:
        """Foreground as 1, uint8, of probabilities that `predict` gave."""
        return (probability >= round(self.threshold * 255)).astype(np.uint8)


def build_model(
    hyperparameters: Hyperparameters,
    state: Mapping[str, np.ndarray],
    *,
    threshold: float,
    card: Mapping[str, Any],
) -> Model:
    """Puts the weights of a training session into a float32 network of Keras's own layers.

    Args:
        hyperparameters: Of the session.
        state: As `TrainingSession.state` gave it.
        threshold: Foreground is where the probability reaches it.
        card: What else is known about the model.
    """
    network = _network(hyperparameters, "float32", stock=True)
    for weight in network.weights:
        weight.assign(state[f"model/{weight.path}"])
    return Model(network, hyperparameters, threshold, card)


def in_precision(model: Model, precision: str) -> Model:
    """The same model with layers of our own where they are faster, for this process alone.

    Args:
        model: As `build_model` gave it.
        precision: The Keras dtype policy to predict in; weights are float32 in each.
    """
    network = _network(model.hyperparameters, precision, stock=False)
    network.set_weights(model.network.get_weights())
    return replace(model, network=network)


def save_model(model: Model, folder: Path, *, saved_model: bool = False) -> None:
    """Writes the folder whole or not at all; an older model in its place is replaced.

    Args:
        model: What to write.
        folder: Gets `model.keras` and `model.json`.
        saved_model: Whether to write `saved_model/`, for TensorFlow Serving, as well.

    Raises:
        InputError: The folder holds something else, or cannot be written.
    """
    if saved_model:
        _check_backend()
    try:
        _check_replaceable(folder)
        with replace_folder(folder) as new:
            model.network.save(new / NETWORK_FILE)
            if saved_model:
                model.network.export(new / _SAVED_MODEL, format="tf_saved_model", verbose=False)
            (new / CARD_FILE).write_text(json.dumps(_full_card(model, new), indent=2) + "\n")
    except OSError as error:
        raise InputError(
            f"{folder}: expected a folder to write the model to, got {error}; choose another"
        ) from error


def load_model(folder: Path, *, precision: str = "float32", stock: bool = False) -> Model:
    """Reads a folder that `save_model` wrote, in safe mode and after a check of its hash.

    Args:
        folder: With `model.keras` and `model.json`.
        precision: The Keras dtype policy to predict in; weights are float32 in each.
        stock: Only layers that Keras itself can load, for a model that is written again.

    Raises:
        InputError: A file is missing, altered or of another kind.
    """
    card = _load_card(folder)
    path = folder / NETWORK_FILE
    if not path.is_file():
        raise InputError(f"{path}: expected the model's network, found no file; export it again")
    if sha256(path) != card["sha256"]:
        raise InputError(
            f"{path}: expected the file that {CARD_FILE} describes, got one with another SHA-256; "
            "export the model again"
        )
    import keras

    try:
        stored = keras.saving.load_model(path, compile=False, safe_mode=True)
        hyperparameters = Hyperparameters.from_mapping(card["hyperparameters"])
        if _describe(stored) != _describe(_network(hyperparameters, "float32", stock=True)):
            raise InputError(f"its layers are not those of the hyperparameters in {CARD_FILE}")
        network = _network(hyperparameters, precision, stock=stock)
        network.set_weights(stored.get_weights())
    except (ValueError, TypeError, KeyError, OSError) as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path}: expected a model of this program, got: {line}; export the model again"
        ) from error
    after = card["postprocessing"]
    return Model(
        network,
        hyperparameters,
        float(card["threshold"]),
        card,
        z_median=after["z_median_sections"],
        views=after["views"],
        smallest_object_voxels=after.get("smallest_object_voxels", 0),
    )


def sha256(path: Path) -> str:
    """The file's SHA-256 as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _network(hyperparameters: Hyperparameters, precision: str, *, stock: bool) -> Any:
    from trainer.unet import build_unet, with_probability

    return with_probability(build_unet(hyperparameters, precision=precision, stock=stock))


def _describe(network: Any) -> list[tuple[str, str, Any]]:
    """Kind, name and activation of every layer: what weights alone do not tell."""
    return [
        (type(layer).__name__, layer.name, layer.get_config().get("activation"))
        for layer in network.layers
    ]


def _full_card(model: Model, folder: Path) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        **model.card,
        "hyperparameters": model.hyperparameters.to_mapping(),
        "threshold": model.threshold,
        "postprocessing": {
            "views": model.views,
            "z_median_sections": model.z_median,
            "smallest_object_voxels": model.smallest_object_voxels,
        },
        "input": f"float32 (example, y, x, {model.hyperparameters.section_channels}), sections as "
        "channels in their order, the one to segment in the middle; sides multiples of "
        f"{model.hyperparameters.halvings}; the volume's 1st percentile is 0, its 99th is 1",
        "output": "float32 (example, y, x, 1), the probability of foreground",
        "sha256": sha256(folder / NETWORK_FILE),
    }


def _load_card(folder: Path) -> dict[str, Any]:
    path = folder / CARD_FILE
    if not path.is_file():
        raise InputError(
            f"{folder}: expected a model folder with {CARD_FILE}, found none; "
            "name a folder that `unet-search run` or `unet-search export` wrote"
        )
    try:
        card: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, got: {error}; export the model again") from error
    checks: dict[str, Callable[[Any], bool]] = {
        "format": lambda value: value == _FORMAT,
        "sha256": lambda value: isinstance(value, str),
        "hyperparameters": lambda value: isinstance(value, dict),
        "threshold": lambda value: type(value) in (int, float) and 0 <= value <= 1,
        "data": lambda value: value is None or isinstance(value, dict),
        "postprocessing": lambda value: (
            isinstance(value, dict)
            and value.get("z_median_sections") in range(1, 100, 2)
            and value.get("views") in VIEWS
            and _is_count(value.get("smallest_object_voxels", 0))
        ),
    }
    for key, fits in checks.items():
        if not isinstance(card, dict) or not fits(card.get(key)):
            got = card.get(key) if isinstance(card, dict) else card
            raise InputError(
                f"{path}: expected a model card with a usable {key!r}, got {got!r}; "
                "export the model again"
            )
    try:
        Hyperparameters.from_mapping(card["hyperparameters"])
    except InputError as error:
        raise InputError(f"{path}: {error}; export the model again") from error
    return card


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _check_backend() -> None:
    import keras

    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"KERAS_BACKEND: expected tensorflow to write a SavedModel, got "
            f"{keras.backend.backend()}; a model of either backend can be exported with it"
        )


def _check_replaceable(folder: Path) -> None:
    """Only a model is ever replaced: never a folder of the user's that holds something else."""
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    foreign = names - {NETWORK_FILE, CARD_FILE, _SAVED_MODEL}
    if foreign or (names and CARD_FILE not in names):
        raise InputError(
            f"{folder}: expected a new or empty folder or an older model, found "
            f"{min(foreign or names)}; choose another name"
        )
