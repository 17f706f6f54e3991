from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from trainer.ensemble import combine
from trainer.errors import InputError
from trainer.export import export_model
from trainer.hyperparameters import Hyperparameters
from trainer.intensity import Intensity
from trainer.model import CARD_FILE, Model, load_model
from trainer.prediction import PredictionOptions
from trainer.publication import Author, Citation, Publication
from trainer.segmentation import predict
from trainer.specimen import cut_specimen
from trainer.volume import Volume

# Keras 3.15 asks a TensorFlow variable for its array in a way that numpy 2 will not know.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning:keras.src.backend"
)

LEAVES_FILES_OPEN = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
"""The reading of a package, by its own library."""

HP = Hyperparameters(depth=1, filters=4, tile_size=32)
# What sees three sections, two apart, is deeper, and has what is hardest to convert.
OTHER = Hyperparameters(
    depth=2,
    filters=4,
    tile_size=32,
    section_channels=3,
    section_step=2,
    normalization="group",
    activation="gelu",
    upsampling="resize",
    gate="attention",
)
DEEP = Hyperparameters(
    dimensions="3d",
    depth=2,
    filters=4,
    tile_size=32,
    tile_sections=8,
    planar_levels=1,
    normalization="layer",
)
PUBLICATION = Publication("U-Net of a test", authors=(Author("Anna Example"),))
PROGRAM = Path(__file__).parent / "only_onnxruntime.py"


def build(hyperparameters: Hyperparameters, seed: int) -> Model:
    """A model whose weights are drawn: no training is needed to tell formats apart."""
    from trainer.unet import build_unet, with_probability

    network = with_probability(build_unet(hyperparameters, stock=True))
    random = np.random.default_rng(seed)
    for weight in network.weights:
        low, high = (0.5, 1.5) if len(weight.shape) == 1 else (-0.4, 0.4)
        weight.assign(random.uniform(low, high, weight.shape))
    card = {"study": "s", "trial": 1, "data": {"voxel_size_nm": [5.0, 5.0, 5.0]}}
    return Model(network, hyperparameters, 0.4, card)


@pytest.fixture(scope="module")
def ensemble(device: Any) -> Model:
    return combine([build(HP, 0), build(OTHER, 1)])


@pytest.fixture(scope="module")
def exported(ensemble: Model, phantom: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ensemble in all formats: what holds for it holds for each of its members."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    gray = cut_specimen(ensemble, phantom, range(16, 24))
    export_model(ensemble, folder, gray, PUBLICATION, name="test")
    return folder


@pytest.fixture(scope="module")
def description(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The description in the package, unpacked."""
    folder = tmp_path_factory.mktemp("package")
    with ZipFile(exported / "test.bioimage.io.zip") as archive:
        archive.extractall(folder)
    return folder / "rdf.yaml"


@pytest.fixture(scope="module")
def card(exported: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((exported / CARD_FILE).read_text())
    return loaded


@pytest.fixture(scope="module")
def images(phantom: Volume) -> np.ndarray:
    """Sections with their neighbours, scaled, (example, y, x, section)."""
    scaled = Intensity.measure(phantom.raw).scale(phantom.raw)
    return np.stack([np.moveaxis(scaled[z : z + 5 : 2, :64, :80], 0, -1) for z in (2, 9)])


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "step"), [(3, 1), (5, 3)])
def test_members_of_an_ensemble_see_their_own_sections(
    device: Any, phantom: Volume, tmp_path: Path, channels: int, step: int
) -> None:
    members = [
        build(replace(HP, section_channels=count, section_step=apart), seed)
        for seed, (count, apart) in enumerate(((channels, step), (3, 2)))
    ]
    combined, raw = combine(members), phantom.raw[:9, :32, :48]
    apart = [member.predict(raw).astype(float) for member in members]
    assert np.abs(combined.predict(raw) - np.mean(apart, axis=0)).max() <= 1
    gray = cut_specimen(combined, phantom, range(4, 24))
    export_model(combined, tmp_path / "model", gray, PUBLICATION, name="test")
    images = Intensity.measure(raw).scale(gray)
    expected = np.asarray(combined.network(images))
    assert expected.std() > 0.02
    for found in in_every_format(tmp_path / "model", images):
        np.testing.assert_allclose(found, expected, atol=1e-3)


def message_of(call: Callable[[], Any]) -> str:
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.slow
def test_an_ensemble_gives_the_mean_of_its_members(ensemble: Model, images: np.ndarray) -> None:
    one, other = build(HP, 0).network, build(OTHER, 1).network
    mean = (np.asarray(one(images[..., 1:2])) + np.asarray(other(images))) / 2
    found = np.asarray(ensemble.network(images))
    assert mean.std() > 0.02
    np.testing.assert_allclose(found, mean, atol=1e-5)
    assert (ensemble.halvings, ensemble.section_offsets) == (4, (-2, 0, 2))


@pytest.mark.slow
def test_every_format_gives_the_same_probabilities(
    ensemble: Model, exported: Path, images: np.ndarray
) -> None:
    expected = np.asarray(ensemble.network(images))
    for found in in_every_format(exported, images):
        np.testing.assert_allclose(found, expected, atol=1e-3)


def in_every_format(folder: Path, images: np.ndarray) -> Iterator[np.ndarray]:
    import keras

    from trainer.onnx_model import predict_onnx
    from trainer.saved_model import predict_saved_model

    network = keras.saving.load_model(folder / "model.keras", safe_mode=True)
    yield np.asarray(network(images))
    yield predict_onnx(folder / "model.onnx", images)
    yield predict_saved_model(folder / "saved_model", images)


@pytest.mark.slow
@LEAVES_FILES_OPEN
def test_the_package_gives_the_same_probabilities_for_gray_values(
    ensemble: Model, description: Path, phantom: Volume
) -> None:
    from bioimageio.core import create_prediction_pipeline
    from bioimageio.core.digest_spec import create_sample_for_model
    from bioimageio.spec import load_model_description

    package = load_model_description(description, perform_io_checks=False)
    gray = np.moveaxis(phantom.raw[5:8, :64, :80], 0, -1)[np.newaxis].astype(np.float32)
    sample = create_sample_for_model(package, inputs={"raw": gray})
    with create_prediction_pipeline(package) as pipeline:
        given = pipeline.predict_sample_without_blocking(
            sample, skip_input_padding=True, skip_output_cropping=True
        )
    found = given.members["probability"].data.to_numpy()
    expected = np.asarray(ensemble.network(Intensity.measure(gray).scale(gray)))
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.slow
@LEAVES_FILES_OPEN
def test_the_package_passes_the_tests_of_its_own_library(description: Path) -> None:
    assert bioimageio_verdict(description) == "passed"


def bioimageio_verdict(description: Path) -> str:
    from bioimageio.core import test_model as run_test
    from bioimageio.spec import ValidationContext

    with ValidationContext(perform_io_checks=False):
        return str(run_test(description, weight_format="onnx").status)


@pytest.mark.slow
@LEAVES_FILES_OPEN
def test_a_3d_network_is_exported_in_every_format(
    device: Any, phantom: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(DEEP, 2)
    gray = cut_specimen(model, phantom, range(8, 24))
    export_model(model, tmp_path / "model", gray, PUBLICATION, name="deep")
    images = Intensity.measure(phantom.raw).scale(phantom.raw)[np.newaxis, 4:12, :32, :48, None]
    expected = np.asarray(model.network(images))
    assert expected.std() > 0.02
    for found in in_every_format(tmp_path / "model", images):
        np.testing.assert_allclose(found, expected, atol=1e-3)
    with ZipFile(tmp_path / "model/deep.bioimage.io.zip") as archive:
        archive.extractall(tmp_path / "package")
    assert bioimageio_verdict(tmp_path / "package/rdf.yaml") == "passed"
    raw = phantom.raw[:13, :32, :48]
    probability = run_the_readme(tmp_path / "model", "onnxruntime", raw, monkeypatch)
    np.testing.assert_allclose(
        probability[:8], predict(raw[:8], model, options=PredictionOptions(float32=True)), atol=1e-3
    )
    assert probability.shape == raw.shape


@pytest.mark.slow
def test_onnxruntime_and_numpy_alone_predict_as_the_model_does(
    ensemble: Model, exported: Path, phantom: Volume, tmp_path: Path
) -> None:
    raw = phantom.raw[:4, :61, :90]
    np.save(tmp_path / "raw.npy", raw)
    subprocess.run(
        [sys.executable, "-I", PROGRAM, exported, tmp_path / "raw.npy", tmp_path / "p.npy"],
        input=json.dumps([ensemble.halvings, ensemble.section_offsets[-1]]),
        text=True,
        check=True,
    )
    found = np.load(tmp_path / "p.npy")
    expected = predict(raw, exported, options=PredictionOptions(float32=True))
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.slow
def test_an_ensemble_is_loaded_as_any_other_model(
    ensemble: Model, exported: Path, phantom: Volume
) -> None:
    loaded = load_model(exported, stock=True)
    assert loaded.members == (HP, OTHER)
    raw = phantom.raw[:3]
    assert np.abs(loaded.predict(raw).astype(int) - ensemble.predict(raw)).max() <= 1


@pytest.mark.slow
def test_the_sizes_of_the_onnx_file_are_dynamic_and_named(exported: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(exported / "model.onnx")
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.name, taken.type, taken.shape) == (
        "raw",
        "tensor(float)",
        ["batch", "y", "x", 3],
    )
    assert (given.name, given.shape) == ("probability", ["batch", "y", "x", 1])


@pytest.mark.slow
@pytest.mark.parametrize("library", ["keras", "onnxruntime"])
def test_the_lines_in_the_readme_run(
    ensemble: Model, exported: Path, phantom: Volume, monkeypatch: Any, library: str
) -> None:
    probability = run_the_readme(exported, library, phantom.raw[:3], monkeypatch)
    np.testing.assert_allclose(probability, ensemble.predict(phantom.raw[:3]) / 255, atol=3e-3)


def run_the_readme(folder: Path, library: str, volume: np.ndarray, monkeypatch: Any) -> np.ndarray:
    """The probabilities (z, y, x) that its lines come to."""
    readme = (folder / "README.md").read_text()
    code = next(part for part in readme.split("```python")[1:] if f"import {library}" in part)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"volume": volume}
    exec(code.split("```")[0], names)
    return np.asarray(names["probability"])[..., 0]


@pytest.mark.slow
def test_the_card_answers_what_is_asked_first(exported: Path, card: dict[str, Any]) -> None:
    assert card["weights"] > 1000
    assert card["publication"]["license"] == "CC-BY-4.0"
    assert set(card["largest_difference"]) == {"model.keras", "model.onnx", "saved_model"}
    assert max(card["largest_difference"].values()) < 1e-3
    assert [each["depth"] for each in card["members"]] == [1, 2]
    assert {name.split("/")[0] for name in card["hashes"]} == {
        "model.keras",
        "model.onnx",
        "saved_model",
        "test.bioimage.io.zip",
    }
    readme = (exported / "README.md").read_text()
    for telling in ("# U-Net of a test", "## Validation", "Anna Example", "multiples of: y 4"):
        assert telling in readme


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.onnx", "saved_model/saved_model.pb"])
def test_a_folder_with_a_file_missing_or_altered_is_refused(
    exported: Path, tmp_path: Path, name: str
) -> None:
    folder = shutil.copytree(exported, tmp_path / "copy")
    with (folder / name).open("ab") as file:
        file.write(b"x")
    assert message_of(lambda: load_model(folder)).startswith(f"{folder / name}: expected the file")
    (folder / name).unlink()
    assert message_of(lambda: load_model(folder)).startswith(f"{folder / name}: expected a file")


@pytest.mark.slow
def test_an_export_replaces_an_older_one_of_another_name(
    exported: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    from trainer import export

    folder = shutil.copytree(exported, tmp_path / "copy")
    monkeypatch.setattr(export, "_write_networks", lambda *a: (np.zeros((1, 8, 8, 1)), {}))
    monkeypatch.setattr(export, "write_package", lambda path, *a: path.write_text("zip"))
    model = load_model(folder, stock=True)
    export_model(model, folder, np.zeros((1, 8, 8, 3)), PUBLICATION, name="other")
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["README.md", "model.json", "model.keras", "other.bioimage.io.zip"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"license": "free"}, r"export\.license: expected an identifier of the SPDX list"),
        ({"authors": (Author("A", orcid="1"),)}, r"export\.authors\.0\.orcid: '1 is not a valid"),
        ({"cite": (Citation("A", doi="x"),)}, r"export\.cite\.0\.doi: String should match"),
        ({"cite": (Citation("A"),)}, r"export\.cite\.0: Either 'doi' or 'url'"),
    ],
)
def test_a_publication_that_does_not_do_is_refused_before_anything_is_written(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    model = Model(None, HP, 0.5, {})
    publication = replace(PUBLICATION, **change)
    with pytest.raises(InputError, match=message) as caught:
        export_model(model, tmp_path / "out", np.zeros(1), publication, name="test")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["", "a/b", "../a", "a b", "ä", "a\n"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    model = Model(None, HP, 0.5, {})
    call = lambda: export_model(model, tmp_path / "out", np.zeros(1), PUBLICATION, name=name)  # noqa: E731
    assert message_of(call).startswith("name: expected letters")


def test_another_backend_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    model = Model(None, HP, 0.5, {})
    call = lambda: export_model(model, tmp_path / "out", np.zeros(1), PUBLICATION, name="a")  # noqa: E731
    assert message_of(call).startswith("KERAS_BACKEND: expected tensorflow")


class Rank:
    """A network of which the shape alone is asked for."""

    def __init__(self, rank: int) -> None:
        self.input_shape = (None,) * (rank - 1) + (1,)


@pytest.mark.parametrize(
    ("ranks", "got"), [([], "got 0"), ([4], "got 1"), ([4, 5], "got 2D and 3D together")]
)
def test_what_makes_no_ensemble_is_refused(ranks: list[int], got: str) -> None:
    models = [Model(Rank(rank), HP, 0.5, {}) for rank in ranks]
    assert got in message_of(lambda: combine(models))


def test_an_ensemble_of_ensembles_is_refused() -> None:
    models = [Model(Rank(4), HP, 0.5, {}), Model(Rank(4), HP, 0.5, {}, members=(HP, HP))]
    assert "an ensemble among them" in message_of(lambda: combine(models))
