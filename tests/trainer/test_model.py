from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from stub_model import HP, message_of, stub

from trainer.hyperparameters import Hyperparameters
from trainer.model import (
    CARD_FILE,
    NETWORK_FILE,
    Model,
    build_model,
    in_precision,
    load_model,
    save_model,
    sha256,
)
from trainer.saved_model import write_saved_model
from trainer.unet import build_unet, with_probability
from trainer.windows import Windows

# Keras 3.15 asks a TensorFlow variable for its array in a way that numpy 2 will not know.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning:keras.src.backend"
)


def draw_weights(network: keras.Model) -> None:
    """Takes weights that bring probabilities far apart, the same ones every time."""
    random = np.random.default_rng(0)
    for weight in network.weights:
        low, high = (0.5, 1.5) if len(weight.shape) == 1 else (-0.4, 0.4)
        weight.assign(random.uniform(low, high, weight.shape))


@pytest.fixture(scope="module")
def trained(device: Any) -> tuple[keras.Model, Model]:
    """A network as training builds it, and the model that is made of its state."""
    network = with_probability(build_unet(HP))
    draw_weights(network)
    state = {f"model/{weight.path}": np.asarray(weight) for weight in network.weights}
    return network, build_model(HP, state, threshold=0.4, card={"study": "quick"})


@pytest.fixture(scope="module")
def folder(trained: tuple[keras.Model, Model], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    save_model(trained[1], folder)
    return folder


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    (tmp_path / "copy").mkdir()
    for name in (NETWORK_FILE, CARD_FILE):
        (tmp_path / "copy" / name).write_bytes((folder / name).read_bytes())
    return tmp_path / "copy"


def example() -> np.ndarray:
    return np.random.default_rng(1).random((2, 24, 32, 1)).astype(np.float32)


def output(network: keras.Model) -> np.ndarray:
    return np.asarray(network(example(), training=False))


def test_a_model_has_the_weights_of_its_training(trained: tuple[keras.Model, Model]) -> None:
    network, model = trained
    expected = output(network)
    assert expected.std() > 0.03
    np.testing.assert_allclose(output(model.network), expected, atol=1e-5)


def test_what_was_saved_is_loaded(trained: tuple[keras.Model, Model], folder: Path) -> None:
    model = load_model(folder)
    assert (model.hyperparameters, model.threshold) == (HP, 0.4)
    assert model.card["study"] == "quick"
    np.testing.assert_allclose(output(model.network), output(trained[0]), atol=1e-3)


def test_a_model_predicts_in_bfloat16_nearly_the_same(
    trained: tuple[keras.Model, Model], folder: Path
) -> None:
    model = load_model(folder, precision="mixed_bfloat16")
    assert model.network.get_layer("centre_conv_0").compute_dtype == "bfloat16"
    np.testing.assert_allclose(output(model.network), output(trained[0]), atol=0.05)


def test_a_loaded_model_can_be_saved_again(folder: Path, tmp_path: Path) -> None:
    save_model(load_model(folder, stock=True), tmp_path / "again")
    one, other = (load_model(path).network for path in (folder, tmp_path / "again"))
    np.testing.assert_allclose(output(one), output(other), atol=1e-6)


def test_plain_keras_opens_the_network_in_safe_mode(
    trained: tuple[keras.Model, Model], folder: Path
) -> None:
    network = keras.saving.load_model(folder / NETWORK_FILE, safe_mode=True)
    assert {type(layer).__module__.split(".")[0] for layer in network.layers} == {"keras"}
    np.testing.assert_allclose(output(network), output(trained[0]), atol=1e-3)
    with zipfile.ZipFile(folder / NETWORK_FILE) as archive:
        assert b"trainer" not in archive.read("config.json")


def test_the_card_says_what_the_model_is(folder: Path) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    assert card["hyperparameters"] == HP.to_mapping()
    assert (card["study"], card["threshold"], card["format"]) == ("quick", 0.4, 1)
    assert card["sha256"] == sha256(folder / NETWORK_FILE)


def test_a_volume_of_any_size_and_brightness_is_predicted(
    trained: tuple[keras.Model, Model],
) -> None:
    model = trained[1]
    raw = np.random.default_rng(2).integers(0, 200, (3, 23, 30)).astype(np.uint8)
    probability = model.predict(raw)
    assert (probability.shape, probability.dtype) == (raw.shape, np.uint8)
    brighter = model.predict(raw.astype(np.uint16) * 200 + 5000)
    assert np.abs(probability.astype(int) - brighter).max() <= 1


def test_foreground_reaches_the_threshold() -> None:
    probability = np.array([[[0, 101, 102, 103, 255]]], np.uint8)
    model = Model(None, HP, 0.4, {})
    assert model.segment(probability).tolist() == [[[0, 0, 1, 1, 1]]]
    assert model.segment(probability).dtype == np.uint8


def test_a_folder_without_a_card_is_no_model(tmp_path: Path) -> None:
    message = message_of(lambda: load_model(tmp_path / "nowhere"))
    assert message.startswith(f"{tmp_path / 'nowhere'}: expected a model folder with {CARD_FILE}")


def test_a_card_without_a_network_is_refused(copy: Path) -> None:
    (copy / NETWORK_FILE).unlink()
    message = message_of(lambda: load_model(copy))
    assert message.startswith(f"{copy / NETWORK_FILE}: expected a file that {CARD_FILE} lists")


def test_a_folder_of_before_all_files_were_hashed_is_loaded(copy: Path) -> None:
    card = json.loads((copy / CARD_FILE).read_text())
    del card["hashes"]
    (copy / CARD_FILE).write_text(json.dumps(card))
    assert load_model(copy).hyperparameters == HP


def test_a_listed_file_that_is_missing_is_refused(copy: Path) -> None:
    card = json.loads((copy / CARD_FILE).read_text())
    change_card(copy, hashes={**card["hashes"], "model.onnx": "0"})
    message = message_of(lambda: load_model(copy))
    assert message.startswith(f"{copy / 'model.onnx'}: expected a file that {CARD_FILE} lists")


def test_an_altered_network_is_refused(copy: Path) -> None:
    content = bytearray((copy / NETWORK_FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / NETWORK_FILE).write_bytes(content)
    message = message_of(lambda: load_model(copy))
    assert message.startswith(
        f"{copy / NETWORK_FILE}: expected the file that {CARD_FILE} describes"
    )


@pytest.mark.parametrize("text", ["", "{", "\xff\xfe", '{"format": 1'])
def test_a_card_that_is_no_json_is_refused(copy: Path, text: str) -> None:
    (copy / CARD_FILE).write_bytes(text.encode("latin-1"))
    assert message_of(lambda: load_model(copy)).startswith(f"{copy / CARD_FILE}: expected JSON")


@pytest.mark.parametrize("text", ["[]", "null", '"card"', "{}"])
def test_json_that_is_no_card_is_refused(copy: Path, text: str) -> None:
    (copy / CARD_FILE).write_text(text)
    message = message_of(lambda: load_model(copy))
    assert message.startswith(f"{copy / CARD_FILE}: expected a model card with a usable 'format'")


def change_card(folder: Path, **values: Any) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps(card | values))


AFTER = {"views": 8, "z_median_sections": 5}


@pytest.mark.parametrize(("more", "expected"), [({}, 0), ({"smallest_object_voxels": 30}, 30)])
def test_a_card_tells_the_smallest_object_unless_it_is_an_older_one(
    copy: Path, more: dict[str, int], expected: int
) -> None:
    change_card(copy, postprocessing=AFTER | more)
    model = load_model(copy)
    assert (model.views, model.z_median, model.smallest_object_voxels) == (8, 5, expected)


def test_the_smallest_object_is_saved(tmp_path: Path) -> None:
    save_model(replace(stub(), smallest_object_voxels=30), tmp_path / "model")
    card = json.loads((tmp_path / "model" / CARD_FILE).read_text())
    after = {"views": 1, "z_median_sections": 1, "smallest_object_voxels": 30, "windows": None}
    assert card["postprocessing"] == after


def test_windows_are_saved_and_read(copy: Path, tmp_path: Path) -> None:
    save_model(replace(stub(), windows=Windows(64, 0.25)), tmp_path / "model")
    card = json.loads((tmp_path / "model" / CARD_FILE).read_text())
    change_card(copy, postprocessing=card["postprocessing"])
    assert load_model(copy).windows == Windows(64, 0.25)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("postprocessing", AFTER | {"smallest_object_voxels": n}) for n in (-1, 2.5, True)),
        *(
            ("postprocessing", AFTER | {"windows": windows})
            for windows in (8, {"size": 0, "overlap": 0.5}, {"size": 8}, {"size": 8, "overlap": 1})
        ),
        ("format", 2),
        ("sha256", None),
        ("hyperparameters", [1]),
        ("threshold", "high"),
        ("threshold", 1.5),
        ("threshold", True),
        ("threshold", float("nan")),
        ("hashes", ["model.onnx"]),
        ("hashes", {"model.onnx": 1}),
        ("hashes", {"../model.onnx": "0"}),
        ("hashes", {"/etc/hosts": "0"}),
        ("members", {}),
        ("members", [{}]),
        ("members", [1, 2]),
    ],
)
def test_a_card_with_an_unusable_value_is_refused_by_its_key(
    copy: Path, key: str, value: Any
) -> None:
    change_card(copy, **{key: value})
    message = message_of(lambda: load_model(copy))
    assert message.startswith(f"{copy / CARD_FILE}: expected a model card with a usable {key!r}")


@pytest.mark.parametrize(
    ("values", "expected"),
    [({"deep": 2}, "deep: expected one of"), ({"depth": 2.5}, "depth: expected a whole number")],
)
def test_a_card_with_wrong_hyperparameters_is_refused_by_their_name(
    copy: Path, values: dict[str, Any], expected: str
) -> None:
    change_card(copy, hyperparameters=values)
    assert message_of(lambda: load_model(copy)).startswith(f"{copy / CARD_FILE}: {expected}")


@pytest.mark.parametrize("values", [{"filters": 8}, {"depth": 1}])
def test_a_card_of_another_network_is_refused(copy: Path, values: dict[str, Any]) -> None:
    change_card(copy, hyperparameters=HP.to_mapping() | values)
    message = message_of(lambda: load_model(copy))
    assert message.startswith(f"{copy / NETWORK_FILE}: expected a model of this program")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"word"])
def test_a_network_that_is_no_keras_file_is_refused(copy: Path, content: bytes) -> None:
    (copy / NETWORK_FILE).write_bytes(content)
    digest = sha256(copy / NETWORK_FILE)
    change_card(copy, sha256=digest, hashes={NETWORK_FILE: digest})
    message = message_of(lambda: load_model(copy))
    assert message.startswith(f"{copy / NETWORK_FILE}: expected a model of this program")


@pytest.mark.parametrize(("precision", "apart"), [("float32", 1), ("mixed_bfloat16", 12)])
def test_a_model_predicts_the_same_in_another_precision(
    trained: tuple[keras.Model, Model], precision: str, apart: int
) -> None:
    _, model = trained
    raw = np.random.default_rng(1).integers(0, 256, (2, 40, 24)).astype(np.uint8)
    fast = in_precision(model, precision)
    expected, found = (each.predict(raw).astype(int) for each in (model, fast))
    assert np.ptp(expected) > 10
    assert np.abs(found - expected).max() <= apart
    assert fast.threshold == model.threshold


SOLID = Hyperparameters(
    dimensions="3d", depth=2, filters=4, tile_size=32, tile_sections=8, planar_levels=1
)


@pytest.fixture(scope="module")
def solid(device: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Path]:
    """A 3D model, and the folder that it was written to."""
    network = build_unet(SOLID)
    draw_weights(network)
    state = {f"model/{weight.path}": np.asarray(weight) for weight in network.weights}
    model = build_model(SOLID, state, threshold=0.5, card={"data": None})
    folder = tmp_path_factory.mktemp("models") / "solid"
    save_model(model, folder)
    return model, folder


def test_a_3d_model_comes_back_without_the_volume_that_it_was_made_for(
    solid: tuple[Model, Path],
) -> None:
    model, folder = solid
    loaded = load_model(folder)
    assert loaded.hyperparameters == SOLID
    raw = np.random.default_rng(2).integers(0, 200, (11, 23, 30)).astype(np.uint8)
    probability = loaded.predict(raw)
    assert (probability.shape, probability.dtype) == (raw.shape, np.uint8)
    assert probability.std() > 5
    for other in (model, in_precision(model, "float32")):
        assert np.abs(probability.astype(int) - other.predict(raw)).max() <= 1


def test_the_card_of_a_3d_model_says_what_goes_in(solid: tuple[Model, Path]) -> None:
    card = json.loads((solid[1] / CARD_FILE).read_text())
    assert card["input"] == (
        "float32 (example, z, y, x, 1), trained on 8 sections; y and x multiples of 4, z of 2; "
        "the volume's 1st percentile is 0, its 99th is 1"
    )
    assert card["output"] == "float32 (example, z, y, x, 1), the probability of foreground"


def test_a_3d_network_is_served_at_any_depth(solid: tuple[Model, Path]) -> None:
    import tensorflow as tf

    model, folder = solid
    write_saved_model(model.network, folder.with_name("served"))
    served = tf.saved_model.load(str(folder.with_name("served")))
    stack = np.random.default_rng(1).random((1, 6, 12, 8, 1)).astype(np.float32)
    expected = np.asarray(model.network(stack, training=False))
    np.testing.assert_allclose(np.asarray(served.serve(stack)), expected, atol=1e-3)


@pytest.mark.parametrize(("threshold", "level"), [(0.001, 1), (0.5, 128), (1.0, 255)])
def test_what_has_no_probability_is_no_foreground(threshold: float, level: int) -> None:
    model = Model(None, HP, threshold, {})
    assert model.level == level
    assert model.segment(np.array([[[0, level]]], np.uint8)).tolist() == [[[0, 1]]]


@pytest.mark.parametrize("values", [{"dimensions": "2d"}, {"planar_levels": 0}])
def test_a_card_with_another_plan_is_refused(
    solid: tuple[Model, Path], tmp_path: Path, values: dict[str, Any]
) -> None:
    for name in (NETWORK_FILE, CARD_FILE):
        (tmp_path / name).write_bytes((solid[1] / name).read_bytes())
    change_card(tmp_path, hyperparameters=SOLID.to_mapping() | values)
    message = message_of(lambda: load_model(tmp_path))
    assert message.startswith(f"{tmp_path / NETWORK_FILE}: expected a model of this program")
