"""The model folder: a network that other tools can open, and a card that says what it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.input_grid import InputGrid
from trainer.median import median_along_z
from trainer.model_card import CARD_FORMAT, read_card
from trainer.neighbours import describe_offsets
from trainer.replacement import make_room, replace_folder
from trainer.small_objects import drop_small_objects
from trainer.weight_average import best_weight
from trainer.windows import WindowedNetwork, Windows, choose_windows, count_memory, count_room

if TYPE_CHECKING:
    from trainer.intensity import Intensity

NETWORK_FILE = "model.keras"
CARD_FILE = "model.json"
README_FILE = "README.md"
SAVED_MODEL = "saved_model"
ONNX_FILE = "model.onnx"
PACKAGE_ENDING = ".bioimage.io.zip"
_OF_THE_FOLDER = ("hashes", "members")
"""What a card says of its folder, and not of a model that is written again elsewhere."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network with what belongs to it.

    Attributes:
        network: From intensities (example, y, x, section) to probabilities (example, y, x, 1);
            in 3D both are (example, z, y, x, 1).
        hyperparameters: Of the run that made it.
        threshold: Foreground is where the probability reaches it.
        card: Everything else that is known about the model, as JSON holds it.
        z_median: Sections of the median along z that follows the network; 1 for none.
        views: 8 where a prediction is the mean over flips and quarter turns, 1 where not.
        smallest_object_voxels: Objects of fewer voxels are no foreground; 0 keeps all.
        members: Of an ensemble, whose network is the mean of theirs; none for a single network.
        windows: That sections are divided into; None where they are whole as far as memory allows.
    """

    network: Any
    hyperparameters: Hyperparameters
    threshold: float
    card: Mapping[str, Any]
    z_median: int = 1
    views: int = 1
    smallest_object_voxels: int = 0
    members: tuple[Hyperparameters, ...] = ()
    windows: Windows | None = None

    @property
    def networks(self) -> tuple[Hyperparameters, ...]:
        """The hyperparameters of every network in it."""
        return self.members or (self.hyperparameters,)

    @property
    def halvings(self) -> int:
        """What the sides of the network's input are multiples of."""
        return self.grid.halvings

    @property
    def section_offsets(self) -> tuple[int, ...]:
        """Where the sections lie that the network sees: 0 is the one that it segments."""
        return self.grid.section_offsets

    @property
    def grid(self) -> InputGrid:
        """What the network asks of its input."""
        return InputGrid.of(self.networks)

    def predict(self, raw: np.ndarray, intensity: Intensity | None = None) -> np.ndarray:
        """Probabilities of a volume (z, y, x) of any size, as uint8 with 255 for 1.

        Args:
            raw: Its grey values.
            intensity: Their scale; their own where none is given.
        """
        from trainer.intensity import Intensity
        from trainer.predict import predict_sections

        probability = np.empty(raw.shape, np.uint8)
        intensity, room = intensity or Intensity.measure(raw), count_room(self.networks)
        shape = (raw.shape[1], raw.shape[2])
        windows = self.windows or choose_windows(
            self.networks, shape, room, count_memory(self.networks)
        )
        network = WindowedNetwork(self.network, windows, self.halvings, room)
        for section, values in predict_sections(
            network, raw, intensity, self.grid, views=self.views
        ):
            probability[section] = values
        return median_along_z(probability, self.z_median)

    def segment(self, probability: np.ndarray) -> np.ndarray:
        """Foreground as 1, uint8, of probabilities of a whole volume that `predict` gave."""
        return (self.without_small_objects(probability) >= self.level).astype(np.uint8)

    def without_small_objects(self, probability: np.ndarray) -> np.ndarray:
        """Probabilities (z, y, x) with 0 where an object is too small to be kept."""
        return drop_small_objects(probability, self.level, self.smallest_object_voxels)

    @property
    def level(self) -> int:
        """The threshold among the 256 steps that probabilities are kept in, of which 0 is none."""
        return max(1, round(self.threshold * 255))


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
    network = _network((hyperparameters,), "float32", stock=True)
    for weight in network.weights:
        weight.assign(best_weight(state, weight.path))
    return Model(network, hyperparameters, threshold, card)


def in_precision(model: Model, precision: str) -> Model:
    """The same model with layers of our own where they are faster, for this process alone.

    Args:
        model: As `build_model` gave it.
        precision: The Keras dtype policy to predict in; weights are float32 in each.
    """
    network = _network(model.networks, precision, stock=False)
    network.set_weights(model.network.get_weights())
    return replace(model, network=network)


def save_model(
    model: Model,
    folder: Path,
    *,
    also: Callable[[Path, Mapping[str, Any]], Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Writes the folder whole or not at all; an older model in its place is replaced.

    Args:
        model: What to write.
        folder: Gets `model.keras` and `model.json`.
        also: Writes more files, given the folder with the network in it and the card so far, and
            returns what the card says of them.

    Returns:
        The card, with the hash of every file.

    Raises:
        InputError: The folder holds something else, or cannot be written.
    """
    try:
        check_replaceable(folder)
        with replace_folder(folder) as new:
            model.network.save(new / NETWORK_FILE)
            card = _full_card(model, new)
            card |= also(new, card) if also else {}
            card["hashes"] = _hashes(new)
            (new / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n")
    except OSError as error:
        raise _unwritable(folder, error) from error
    return card


def load_model(folder: Path, *, precision: str = "float32", stock: bool = False) -> Model:
    """Reads a folder that `save_model` wrote, in safe mode and after a check of all its files.

    Args:
        folder: With `model.keras` and `model.json`.
        precision: The Keras dtype policy to predict in; weights are float32 in each.
        stock: Only layers that Keras itself can load, for a model that is written again.

    Raises:
        InputError: A file is missing, altered or of another kind.
    """
    card = load_card(folder)
    path = folder / NETWORK_FILE
    _check_files(folder, {NETWORK_FILE: card["sha256"], **(card.get("hashes") or {})})
    hyperparameters = Hyperparameters.from_mapping(card["hyperparameters"])
    members = tuple(map(Hyperparameters.from_mapping, card.get("members") or ()))
    network = _load_network(path, members or (hyperparameters,), precision, stock=stock)
    after = card["postprocessing"]
    return Model(
        network,
        hyperparameters,
        float(card["threshold"]),
        card,
        z_median=after["z_median_sections"],
        views=after["views"],
        # Cards of older versions have none.
        smallest_object_voxels=after.get("smallest_object_voxels", 0),
        members=members,
        windows=_read_windows(after.get("windows")),
    )


def _read_windows(stored: Mapping[str, Any] | None) -> Windows | None:
    return None if stored is None else Windows(stored["size"], stored["overlap"])


def _load_network(
    path: Path, networks: Sequence[Hyperparameters], precision: str, *, stock: bool
) -> Any:
    import keras

    try:
        stored = keras.saving.load_model(path, compile=False, safe_mode=True)
        if _describe(stored) != _describe(_network(networks, "float32", stock=True)):
            raise InputError(f"its layers are not those of the hyperparameters in {CARD_FILE}")
        network = _network(networks, precision, stock=stock)
        network.set_weights(stored.get_weights())
    except (ValueError, TypeError, KeyError, OSError) as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path}: expected a model of this program, got: {line}; export the model again"
        ) from error
    return network


def sha256(path: Path) -> str:
    """The file's SHA-256 as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _network(networks: Sequence[Hyperparameters], precision: str, *, stock: bool) -> Any:
    from trainer.ensemble import average
    from trainer.unet import build_unet, with_probability

    built = [with_probability(build_unet(hp, precision=precision, stock=stock)) for hp in networks]
    return average(built, networks) if len(built) > 1 else built[0]


def _describe(network: Any) -> list[tuple[Any, ...]]:
    """Kind, name, activation and pooling of every layer: what weights alone do not tell."""
    layers = [(layer, layer.get_config()) for layer in network.layers]
    return [
        (
            type(layer).__name__,
            layer.name,
            config.get("activation"),
            _sizes(config.get("pool_size")),
            _describe(layer) if hasattr(layer, "layers") else None,
        )
        for layer, config in layers
    ]


def _sizes(value: Any) -> Any:
    """A tuple, which a file brings back as a list."""
    return value and tuple(value)


def _full_card(model: Model, folder: Path) -> dict[str, Any]:
    return {
        "format": CARD_FORMAT,
        **{key: value for key, value in model.card.items() if key not in _OF_THE_FOLDER},
        "hyperparameters": model.hyperparameters.to_mapping(),
        **({"members": [each.to_mapping() for each in model.members]} if model.members else {}),
        "threshold": model.threshold,
        "postprocessing": {
            "views": model.views,
            "z_median_sections": model.z_median,
            "smallest_object_voxels": model.smallest_object_voxels,
            "windows": _describe_windows(model.windows),
        },
        "input": f"float32 {_describe_input(model.grid)}; the volume's 1st percentile "
        "is 0, its 99th is 1",
        "output": f"float32 (example, {'z, ' * model.grid.is_3d}y, x, 1), the "
        "probability of foreground",
        "sha256": sha256(folder / NETWORK_FILE),
    }


def _describe_windows(windows: Windows | None) -> dict[str, Any] | None:
    return None if windows is None else {"size": windows.size, "overlap": windows.overlap}


def _describe_input(grid: InputGrid) -> str:
    if grid.is_3d:
        return (
            f"(example, z, y, x, 1), trained on {grid.tile_sections} sections; y and x multiples "
            f"of {grid.halvings}, z of {grid.section_halvings}"
        )
    offsets = grid.section_offsets
    return (
        f"(example, y, x, {len(offsets)}), {describe_offsets(offsets)}; sides multiples of "
        f"{grid.halvings}"
    )


def _hashes(folder: Path) -> dict[str, str]:
    """Of every file but the card itself, and the text beside it that people may add to."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: sha256(path) for name, path in names.items() if name != README_FILE}


def _check_files(folder: Path, hashes: Mapping[str, str]) -> None:
    for name, expected in hashes.items():
        path = folder / name
        if not path.is_file():
            raise InputError(
                f"{path}: expected a file that {CARD_FILE} lists, found none; "
                "export the model again"
            )
        if sha256(path) != expected:
            raise InputError(
                f"{path}: expected the file that {CARD_FILE} describes, got one with another "
                "SHA-256; export the model again"
            )


def load_card(folder: Path) -> dict[str, Any]:
    """Reads and checks the card of a model folder, and nothing heavy.

    Raises:
        InputError: There is none, or it cannot be used.
    """
    return read_card(folder / CARD_FILE)


def check_replaceable(folder: Path) -> None:
    """Only a model is ever replaced: never a folder of the user's that holds something else.

    Raises:
        InputError: It holds something else, is none, or cannot be made.
    """
    try:
        make_room(folder)
        names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    except OSError as error:
        raise _unwritable(folder, error) from error
    ours = {NETWORK_FILE, CARD_FILE, README_FILE, SAVED_MODEL, ONNX_FILE}
    foreign = {name for name in names - ours if not name.endswith(PACKAGE_ENDING)}
    if foreign or (names and CARD_FILE not in names):
        raise InputError(
            f"{folder}: expected a new or empty folder or an older model, found "
            f"{min(foreign or names)}; choose another name"
        )


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        f"{folder}: expected a folder to write the model to, got: {error.strerror}; choose another"
    )
