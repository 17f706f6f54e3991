"""What a prediction writes and where: formats, labels, and what is in its place already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from segmentation_rig import SIZE, Brightness, model, names, read, segment, volume

from trainer import segmentation as module
from trainer.errors import InputError
from trainer.formats import open_source
from trainer.prediction import PredictionOptions, smallest_object_here
from trainer.segmentation import predict, segment_file
from trainer.stack import write_stack


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
@pytest.mark.parametrize("here", [SIZE, (10.0, 4.0, 8.0)])
@pytest.mark.parametrize("name", ["out.tif", "out.ome.tif", "out.zarr"])
def test_probabilities_are_written_unrounded_where_they_are_asked_for(
    raw: Path, tmp_path: Path, name: str, here: Any
) -> None:
    fine = PredictionOptions(float32=True)
    same: dict[str, Any] = {"voxel_size_nm": here, "labels": "components", "threshold": 0.7}
    written = segment(raw, tmp_path / name, prediction=fine, **same)
    found = read(tmp_path / name)
    rounded = segment(raw, tmp_path / "b.tif", **same)
    steps = read(tmp_path / "b.tif")
    assert (found.dtype, steps.dtype) == (np.float32, np.uint8)
    # Half a step by rounding; what is resampled is rounded more than once.
    assert 0.2 / 255 < np.abs(found - steps / 255).max() < 1.5 / 255
    assert written["objects"] == rounded["objects"] > 1
    assert np.array_equal(found, predict(read(raw), model(), voxel_size_nm=here, options=fine))


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


def test_what_cannot_be_predicted_leaves_nothing_behind(tmp_path: Path, loaded: Any) -> None:
    array = volume(9, 8, 8).astype(np.float32)
    array[7, 0, 0] = np.inf
    tifffile.imwrite(tmp_path / "raw.tif", array)
    with pytest.raises(InputError, match="section 7 holds NaN"):
        segment(tmp_path / "raw.tif", tmp_path / "a.tif")
    assert names(tmp_path) == ["raw.tif"]


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


def test_smaller_voxels_make_as_large_objects(raw: Path, tmp_path: Path, loaded: Any) -> None:
    loaded(model(channels=1, z_median=1, smallest_object_voxels=10**4))
    assert segment(raw, tmp_path / "a.tif", labels="components")["objects"] == 0
    loaded(model(channels=1, z_median=1, smallest_object_voxels=1))
    assert segment(raw, tmp_path / "a.tif", labels="components")["objects"] > 0
    # A number that is asked for is of the volume's own voxels.
    here = {"labels": "components", "voxel_size_nm": (10.0, 4.0, 5.0)}
    assert segment(raw, tmp_path / "a.tif", smallest_object_voxels=10**4, **here)["objects"] == 0
    assert smallest_object_here(model(smallest_object_voxels=80), (20.0, 8.0, 5.0)) == 40


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
