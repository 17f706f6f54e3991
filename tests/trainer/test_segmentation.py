from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from trainer import segmentation as module
from trainer.errors import InputError
from trainer.formats import open_source
from trainer.hyperparameters import Hyperparameters
from trainer.intensity import Intensity
from trainer.median import median_along_z
from trainer.model import Model
from trainer.prediction import PredictionOptions, prepare_prediction, smallest_object_here
from trainer.segmentation import SegmentationOptions, predict, segment_file
from trainer.stack import write_stack
from trainer.tiff import TiffReader
from trainer.windows import Windows

SIZE = (20.0, 4.0, 5.0)


class Brightness:
    """A network that takes the mean of its sections for the probability."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.sections, self.fails_at = 0, fails_at

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        self.sections += len(images)
        if self.fails_at is not None and self.sections > self.fails_at:
            raise KeyboardInterrupt
        return np.clip(images.mean(axis=-1, keepdims=True), 0, 1)


class Spot(Brightness):
    """A network for which it matters where in an image a voxel lies."""

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        places = np.arange(images.shape[1])[:, None, None] / 100
        return np.clip(super().predict_on_batch(images) * 0.5 + places, 0, 1)


def model(network: Any = None, channels: int = 3, **values: Any) -> Model:
    hp = Hyperparameters(depth=1, filters=2, tile_size=16, section_channels=channels)
    card = {"sha256": "abc", "data": {"voxel_size_nm": list(SIZE)}}
    return Model(network or Brightness(), hp, 0.5, card, **{"z_median": 3, **values})


def volume(*shape: int) -> np.ndarray:
    """Blobs on a ground that is darker."""
    noise = np.random.default_rng(0).normal(0, 1, shape)
    places = np.indices(shape)
    waves = sum(np.sin(places[axis] / 2.5) for axis in range(len(shape)))
    return np.clip(120 + 40 * waves + 6 * noise, 0, 255).astype(np.uint8)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    write_stack(tmp_path / "raw.tif", volume(13, 24, 31), SIZE)
    return tmp_path / "raw.tif"


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Callable[[Model], Model]:
    """What the model folder holds."""

    def hold(given: Model) -> Model:
        monkeypatch.setattr(module, "_load", lambda folder: given)
        return given

    hold(model())
    return hold


def segment(raw: Path, output: Path, **options: Any) -> dict[str, Any]:
    return segment_file(Path("model"), raw, output, SegmentationOptions(**options))


def stop_at(number: int) -> Callable[[str, int, int], None]:
    """Ctrl-C after so many sections."""

    def stop(stage: str, section: int, total: int) -> None:
        if section == number:
            raise KeyboardInterrupt

    return stop


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read(path: Path) -> np.ndarray:
    with open_source(path) as source:
        return source.load()


@pytest.mark.parametrize("views", [1, 8])
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_a_volume_in_memory_is_predicted_as_the_model_does(channels: int, views: int) -> None:
    array = volume(9, 20, 17)
    one = model(channels=channels, views=views)
    assert np.array_equal(predict(array, one), one.predict(array))


def test_a_single_section_keeps_its_axes() -> None:
    assert predict(volume(20, 17), model()).shape == (20, 17)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((0, 4, 4)), "expected grey values"),
        (np.zeros((2, 2, 4, 4)), "expected grey values"),
        (np.full((2, 4, 4), np.nan), "section 0 holds NaN"),
        (np.zeros((2, 4, 4), complex), "holds values of type complex128"),
        (np.array([[["a"]]]), "holds values of type"),
        (np.zeros((2, 4, 4), bool), "holds values of type bool"),
    ],
)
def test_an_array_of_something_else_is_refused(array: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=f"^array: {said}"):
        predict(array, model())


@pytest.mark.parametrize(
    ("options", "said"),
    [({"views": 3}, "views: expected one of 1, 8"), ({"z_median": 2}, "z_median: expected an odd")],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        predict(volume(4, 8, 8), model(), options=PredictionOptions(**options))


def test_windows_are_the_reports_own_method() -> None:
    array = volume(2, 48, 64)
    options = PredictionOptions(z_median=1, windows=Windows(16, 0.5, "mean"))
    plain = predict(array, model(channels=1), options=PredictionOptions(z_median=1))
    # Every voxel's probability is its own brightness here: a mean of equals.
    assert np.abs(predict(array, model(channels=1), options=options).astype(int) - plain).max() <= 1


def test_sections_are_divided_as_the_model_was_tuned_unless_told_otherwise() -> None:
    array, seen = volume(2, 48, 64), set()

    class Shape(Brightness):
        def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
            seen.add(images.shape[1:3])
            return super().predict_on_batch(images)

    tuned = model(Shape(), windows=Windows(16, 0.25))
    predict(array, tuned)
    assert seen == {(16, 16)}
    seen.clear()
    predict(array, tuned, options=PredictionOptions(windows=Windows(32)))
    assert seen == {(32, 32)}


@pytest.mark.parametrize(
    ("tuned", "asked", "found", "told"), [(1, None, 1, False), (3, 5, 5, False), (3, None, 5, True)]
)
def test_a_median_is_converted_where_one_was_tuned_and_none_is_asked_for(
    tuned: int, asked: int | None, found: int, told: bool
) -> None:
    options = PredictionOptions(z_median=asked)
    trained = model(channels=1, z_median=tuned)
    prepared = prepare_prediction(trained, volume(12, 24, 31), (SIZE[0] / 2, *SIZE[1:]), options)
    assert prepared.settings["z_median_sections"] == found
    assert any("median along z was tuned" in note for note in prepared.notes) == told


@pytest.mark.parametrize("here", [(20, 8, 10), (10, 4, 5), (40, 2, 2.5)])
def test_another_voxel_size_is_resampled_there_and_back(here: tuple[float, ...]) -> None:
    array, seen = volume(12, 40, 40), []

    class Shape(Brightness):
        def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
            seen.append(images.shape)
            return super().predict_on_batch(images)

    found = predict(array, model(Shape()), voxel_size_nm=here)
    plain = predict(array, model())
    assert found.shape == array.shape
    assert {shape[1:3] for shape in seen} == {(round(40 * here[1] / 4), round(40 * here[2] / 5))}
    assert sum(shape[0] for shape in seen) == round(12 * here[0] / 20)
    assert np.corrcoef(found.ravel(), plain.ravel())[0, 1] > 0.8


def test_a_network_of_single_sections_keeps_them_and_its_median_as_thick() -> None:
    array = volume(12, 16, 16)
    network = Brightness()
    found = predict(array, model(network, 1, z_median=3), voxel_size_nm=(10, 4, 5))
    assert network.sections == 12
    bare = predict(array, model(channels=1, z_median=1))
    # Three sections of 20 nm are as thick as six of 10 nm; five is the nearest odd number below.
    assert any(np.array_equal(found, median_along_z(bare, window)) for window in (5, 7))


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("name", ["out.tif", "out.ome.tif", "out.TIFF", "out.zarr"])
def test_a_file_is_predicted_to_each_format(raw: Path, tmp_path: Path, name: str) -> None:
    written = segment(raw, tmp_path / name)
    expected = model().predict(read(raw))
    with open_source(tmp_path / name) as found:
        assert np.array_equal(found.load(), expected)
        assert found.voxel_size_nm == pytest.approx(SIZE)
    assert written["shape"] == [13, 24, 31]
    assert names(tmp_path) == sorted([name, "raw.tif"])


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("kind", ["components", "watershed"])
@pytest.mark.parametrize(
    ("name", "labels"), [("a.tif", "a.labels.tif"), ("a.ome.tif", "a.labels.ome.tif")]
)
def test_labels_lie_beside_a_tiff(
    raw: Path, tmp_path: Path, name: str, labels: str, kind: Any
) -> None:
    written = segment(raw, tmp_path / name, labels=kind, threshold=0.7)
    assert written["labels"] == str(tmp_path / labels)
    found = read(tmp_path / labels)
    assert found.max() == written["objects"] > 1
    assert np.array_equal(found > 0, read(tmp_path / name) >= round(0.7 * 255))


@pytest.mark.usefixtures("loaded")
def test_labels_lie_in_an_ome_zarr_as_its_specification_says(raw: Path, tmp_path: Path) -> None:
    written = segment(raw, tmp_path / "a.zarr", labels="components")
    image: Any = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert image["labels"].attrs["ome"] == {"version": "0.5", "labels": ["instances"]}
    described = image["labels/instances"].attrs["ome"]
    assert described["image-label"] == {"source": {"image": "../../"}}
    assert described["multiscales"][0]["axes"] == image.attrs["ome"]["multiscales"][0]["axes"]
    assert np.asarray(image["labels/instances/0"][:]).max() == written["objects"]
    with open_source(tmp_path / "a.zarr" / "labels" / "instances") as found:
        assert found.voxel_size_nm == SIZE


@pytest.mark.usefixtures("loaded")
def test_a_large_ome_zarr_has_smaller_versions(tmp_path: Path) -> None:
    write_stack(tmp_path / "raw.tif", volume(5, 300, 530), SIZE)
    segment(tmp_path / "raw.tif", tmp_path / "a.zarr", labels="components")
    image: Any = zarr.open_group(tmp_path / "a.zarr", mode="r")
    levels = image.attrs["ome"]["multiscales"][0]["datasets"]
    assert [image[level["path"]].shape for level in levels] == [
        (5, 300, 530),
        (3, 150, 265),
        (2, 75, 133),
    ]
    scale, shift = levels[1]["coordinateTransformations"]
    assert (scale["scale"], shift["translation"]) == ([40, 8, 10], [10, 2, 2.5])
    first = np.asarray(image["0"][:2, :2, :2]).mean()
    assert np.asarray(image["1"][0, 0, 0]) == pytest.approx(first, abs=0.51)
    assert image["labels/instances/2"].shape == (2, 75, 133)


@pytest.mark.usefixtures("loaded")
def test_fiji_finds_the_scale_of_a_tiff(raw: Path, tmp_path: Path) -> None:
    segment(raw, tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.imagej_metadata is not None
        assert tiff.imagej_metadata["unit"] == "um"
        assert tiff.imagej_metadata["spacing"] == 0.02
        assert tiff.imagej_metadata["slices"] == 13
        per_um = [tiff.pages.first.tags[f"{axis}Resolution"].value for axis in "YX"]
    assert [pixels / units for pixels, units in per_um] == pytest.approx([250, 200])


@pytest.mark.parametrize("stops_at", [1, 6, 12])
@pytest.mark.parametrize("here", [SIZE, (10.0, 8.0, 5.0)])
def test_an_interrupted_prediction_goes_on_where_it_stopped(
    raw: Path, tmp_path: Path, loaded: Any, stops_at: int, here: Any
) -> None:
    loaded(model(channels=5))
    segment(raw, tmp_path / "whole.tif", voxel_size_nm=here)

    options = SegmentationOptions(voxel_size_nm=here)
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        segment_file(
            Path("model"),
            raw,
            tmp_path / "a.tif",
            options,
            on_progress=stop_at(stops_at),
            say=told.append,
        )
    line = f"interrupted after section {stops_at} of 13: the same command goes on from there"
    assert told[-1] == line
    assert names(tmp_path) == [".a.tif.partial", "raw.tif", "whole.tif"]
    # Half a section that was being written when the power went.
    with (tmp_path / ".a.tif.partial" / "sections.u8").open("ab") as file:
        file.write(b"half")
    written = segment(raw, tmp_path / "a.tif", voxel_size_nm=here)
    assert written["resumed_at"] == stops_at
    assert np.array_equal(read(tmp_path / "a.tif"), read(tmp_path / "whole.tif"))
    assert names(tmp_path) == ["a.tif", "raw.tif", "whole.tif"]


def test_another_setting_begins_anew(raw: Path, tmp_path: Path, loaded: Any) -> None:
    loaded(model(Brightness(fails_at=13)))
    with pytest.raises(KeyboardInterrupt):
        segment(raw, tmp_path / "a.tif", prediction=PredictionOptions(windows=Windows(16)))
    loaded(model())
    assert segment(raw, tmp_path / "a.tif")["resumed_at"] == 0


def test_other_free_memory_does_not_begin_anew(
    raw: Path, tmp_path: Path, loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(size: int | None) -> None:
        windows = size and Windows(size, 0.5, "taper", 4)
        monkeypatch.setattr("trainer.prediction.choose_windows", lambda *_: windows)

    loaded(model(Spot()))
    choose(16)
    segment(raw, tmp_path / "whole.tif")
    with pytest.raises(KeyboardInterrupt):
        segment_file(Path("model"), raw, tmp_path / "a.tif", on_progress=stop_at(6))
    choose(None)
    assert segment(raw, tmp_path / "a.tif")["resumed_at"] == 6
    # The windows that it began with are those that it ends with.
    assert np.array_equal(read(tmp_path / "a.tif"), read(tmp_path / "whole.tif"))


def test_what_cannot_be_predicted_leaves_nothing_behind(tmp_path: Path, loaded: Any) -> None:
    array = volume(9, 8, 8).astype(np.float32)
    array[7, 0, 0] = np.inf
    tifffile.imwrite(tmp_path / "raw.tif", array)
    with pytest.raises(InputError, match="section 7 holds NaN"):
        segment(tmp_path / "raw.tif", tmp_path / "a.tif")
    assert names(tmp_path) == ["raw.tif"]


@pytest.mark.usefixtures("loaded")
def test_one_prediction_at_a_time_writes_an_output(raw: Path, tmp_path: Path) -> None:
    def again(stage: str, section: int, total: int) -> None:
        if section == 3:
            with pytest.raises(InputError, match="another process is predicting it"):
                segment(raw, tmp_path / "a.tif")

    segment_file(Path("model"), raw, tmp_path / "a.tif", on_progress=again)
    assert names(tmp_path) == ["a.tif", "raw.tif"]


@pytest.mark.usefixtures("loaded")
def test_a_full_disk_is_told_before_it_begins(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 100

    monkeypatch.setattr("trainer.journal.shutil.disk_usage", lambda path: Usage)
    with pytest.raises(InputError, match="GB on its disk"):
        segment(raw, tmp_path / "a.tif")
    assert names(tmp_path) == ["raw.tif"]


@pytest.mark.usefixtures("loaded")
def test_an_older_prediction_is_replaced_and_nothing_else(raw: Path, tmp_path: Path) -> None:
    for _ in range(2):
        segment(raw, tmp_path / "a.zarr")
        segment(raw, tmp_path / "a.tif")
    zarr.create_group(tmp_path / "mine.zarr")
    (tmp_path / "folder.tif").mkdir()
    for name in ("mine.zarr", "folder.tif"):
        with pytest.raises(InputError, match="found a folder that is none"):
            segment(raw, tmp_path / name)


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raw.tif", "is the volume to predict itself"),
        ("a.png", "expected a name that ends in .tif, .ome.tif or .zarr"),
        ("a", "expected a name that ends in"),
        ("missing/a.tif", "there is no folder"),
    ],
)
def test_an_output_that_cannot_be_is_refused(
    raw: Path, tmp_path: Path, name: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        segment(raw, tmp_path / name)
    assert names(tmp_path) == ["raw.tif"]


@pytest.mark.usefixtures("loaded")
def test_a_link_that_leads_to_itself_is_refused(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "loop.tif").symlink_to(tmp_path / "loop.tif")
    with pytest.raises(InputError, match=r"loop\.tif: "):
        segment(raw, tmp_path / "loop.tif")


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("threshold", [0.0, 1.1, float("nan")])
def test_a_threshold_that_cannot_be_is_refused(raw: Path, tmp_path: Path, threshold: float) -> None:
    with pytest.raises(InputError, match="threshold: expected more than 0"):
        segment(raw, tmp_path / "a.tif", threshold=threshold)


def test_smaller_voxels_make_as_large_objects(raw: Path, tmp_path: Path, loaded: Any) -> None:
    loaded(model(channels=1, z_median=1, smallest_object_voxels=10**4))
    assert segment(raw, tmp_path / "a.tif", labels="components")["objects"] == 0
    loaded(model(channels=1, z_median=1, smallest_object_voxels=1))
    assert segment(raw, tmp_path / "a.tif", labels="components")["objects"] > 0
    # A number that is asked for is of the volume's own voxels.
    here = {"labels": "components", "voxel_size_nm": (10.0, 4.0, 5.0)}
    assert segment(raw, tmp_path / "a.tif", smallest_object_voxels=10**4, **here)["objects"] == 0
    assert smallest_object_here(model(smallest_object_voxels=80), (20.0, 8.0, 5.0)) == 40


@pytest.mark.parametrize("sections", [3, 40])
def test_the_scale_of_a_file_is_measured_as_that_of_an_array(
    tmp_path: Path, sections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.intensity._SAMPLE_VOXELS", 997)
    array = volume(sections, 31, 33)
    write_stack(tmp_path / "a.tif", array, None)
    with open_source(tmp_path / "a.tif") as source:
        assert Intensity.measure_sections(source) == Intensity.measure(array)
        monkeypatch.setattr("trainer.intensity._SAMPLE_SECTIONS", 10)
        sparse = Intensity.measure_sections(source)
    whole = Intensity.measure(array)
    assert abs(sparse.low - whole.low) < 8
    assert abs(sparse.high - whole.high) < 8


def test_views_can_be_asked_for(raw: Path, tmp_path: Path, loaded: Any) -> None:
    network = Brightness()
    loaded(model(network))
    segment(raw, tmp_path / "a.tif", prediction=PredictionOptions(views=8))
    assert network.sections == 8 * 13


def test_the_end_of_an_object_in_the_next_slab_is_no_small_object(
    tmp_path: Path, loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.zeros((12, 16, 16), np.uint8)
    array[0:4, 2:8, 2:8] = 200  # 144 voxels, those after the first slab but 36
    array[9, 12, 12] = 200
    write_stack(tmp_path / "raw.tif", array, SIZE)
    loaded(model(channels=1, z_median=1, smallest_object_voxels=40))
    monkeypatch.setattr("trainer.labels._SLAB_VOXELS", 4 * 16 * 16)
    segment(tmp_path / "raw.tif", tmp_path / "a.tif", labels="components")
    array[9] = 0
    assert np.array_equal(read(tmp_path / "a.labels.tif") > 0, array > 0)


@pytest.mark.usefixtures("loaded")
def test_a_passing_read_error_costs_no_section(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.predict._BATCH_VOXELS", 1)

    def unplug(stage: str, section: int, total: int) -> None:
        if section == 3:
            monkeypatch.setattr(TiffReader, "read", fail)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    told: list[str] = []
    read_sections = TiffReader.read
    with pytest.raises(InputError, match="Input/output error"):
        segment_file(Path("model"), raw, tmp_path / "a.tif", on_progress=unplug, say=told.append)
    monkeypatch.setattr(TiffReader, "read", read_sections)
    resumed = segment(raw, tmp_path / "a.tif")["resumed_at"]
    assert resumed > 0
    assert told[-1].startswith(f"interrupted after section {resumed} of 13: the same command")


def test_labels_that_do_not_fit_are_refused_before_the_prediction(
    raw: Path, tmp_path: Path, loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Brightness()
    loaded(model(network))

    def refuse(shape: tuple[int, ...], kind: str) -> None:
        raise InputError(f"no room for {kind} of {shape}")

    monkeypatch.setattr(module, "check_label_memory", refuse)
    with pytest.raises(InputError, match=r"no room for watershed of \(13, 24, 31\)"):
        segment(raw, tmp_path / "a.tif", labels="watershed")
    assert network.sections == 0
    assert segment(raw, tmp_path / "a.tif")["objects"] is None


@pytest.mark.usefixtures("loaded")
def test_labels_of_an_earlier_prediction_are_pointed_out(raw: Path, tmp_path: Path) -> None:
    told: list[str] = []
    segment(raw, tmp_path / "a.tif", labels="components")
    segment_file(Path("model"), raw, tmp_path / "a.tif", say=told.append)
    line = f"{tmp_path / 'a.labels.tif'} is of an earlier prediction and stays; --labels"
    assert [each.startswith(line) for each in told] == [True]
    assert segment(raw, tmp_path / "a.tif", labels="components")["labels"]
    segment_file(Path("model"), raw, tmp_path / "b.tif", say=told.append)
    assert len(told) == 1


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("length", [250, 300])
def test_a_name_that_is_too_long_is_refused_in_one_line(
    raw: Path, tmp_path: Path, length: int
) -> None:
    with pytest.raises(InputError, match=r"cannot be written: File name too long; name another"):
        segment(raw, tmp_path / f"{'a' * (length - 4)}.tif")
    assert names(tmp_path) == ["raw.tif"]


@pytest.mark.usefixtures("loaded")
def test_a_disk_that_fills_up_at_the_end_costs_no_section(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("trainer.sinks.write_tiff", full)
        with pytest.raises(InputError, match="No space left"):
            segment(raw, tmp_path / "a.tif")
    assert segment(raw, tmp_path / "a.tif")["resumed_at"] == 13


def test_labels_are_never_written_over_the_volume(tmp_path: Path, loaded: object) -> None:
    source = tmp_path / "a.labels.tif"
    write_stack(source, volume(4, 24, 31), SIZE)
    before = source.read_bytes()
    with pytest.raises(InputError, match="its labels would be written over the volume to predict"):
        segment(source, tmp_path / "a.tif", labels="components")
    assert source.read_bytes() == before
    segment(source, tmp_path / "a.tif")


def test_labels_of_other_hands_are_not_taken_away(
    raw: Path, tmp_path: Path, loaded: object
) -> None:
    segment(raw, tmp_path / "a.zarr", labels="components")
    segment(raw, tmp_path / "a.zarr", labels="components")
    (tmp_path / "a.zarr" / "labels" / "corrected").mkdir()
    with pytest.raises(
        InputError, match=r"holds labels that predict has not written \(corrected\)"
    ):
        segment(raw, tmp_path / "a.zarr")
    assert (tmp_path / "a.zarr" / "labels" / "corrected").is_dir()


def test_a_file_that_has_the_name_of_an_ome_zarr_stays(
    raw: Path, tmp_path: Path, loaded: object
) -> None:
    (tmp_path / "a.zarr").write_text("mine")
    with pytest.raises(InputError, match="found a file"):
        segment(raw, tmp_path / "a.zarr")
    assert (tmp_path / "a.zarr").read_text() == "mine"


@pytest.mark.parametrize("ending", [".tif", ".zarr"])
def test_what_a_link_leads_to_is_written_and_the_link_stays(
    raw: Path, tmp_path: Path, loaded: object, ending: str
) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / f"link{ending}"
    link.symlink_to(tmp_path / "disk" / f"a{ending}")
    for _ in range(2):
        segment(raw, link)
    assert link.is_symlink()
    assert names(tmp_path / "disk") == [f"a{ending}"]
    assert names(tmp_path) == ["disk", link.name, "raw.tif"]
