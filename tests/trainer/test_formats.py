from __future__ import annotations

import contextlib
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.errors import InputError
from trainer.formats import open_source
from trainer.source import Reader, Source
from trainer.stack import read_stack

PIXELS = np.random.default_rng(0).integers(0, 255, (7, 20, 24), dtype=np.uint8)
NM = {"type": "space", "unit": "nanometer"}


def load(path: Path) -> np.ndarray:
    with open_source(path) as source:
        return source.load()


def voxel_size(path: Path) -> Any:
    with open_source(path) as source:
        return source.voxel_size_nm


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as refused:
        load(path)
    line = str(refused.value)
    assert line.startswith(f"raw {path}: ")
    assert "\n" not in line
    return line


def write_tiff(path: Path) -> Path:
    tifffile.imwrite(path / "a.tif", PIXELS, compression="zlib")
    return path / "a.tif"


def write_contiguous(path: Path) -> Path:
    tifffile.imwrite(path / "b.tif", PIXELS.astype(">u2"), byteorder=">")
    return path / "b.tif"


def write_pngs(path: Path) -> Path:
    (path / "pngs").mkdir()
    for number, section in enumerate(PIXELS):
        imageio.imwrite(path / "pngs" / f"{number}.png", section)
    return path / "pngs"


def write_hdf5(path: Path, **options: Any) -> Path:
    with h5py.File(path / "a.h5", "w") as file:
        file.create_dataset("raw", data=PIXELS, **({"chunks": (3, 8, 8)} | options))
    return path / "a.h5"


def write_zarr(path: Path, version: int = 3, **options: Any) -> Path:
    array = zarr.create_array(
        path / "a.zarr",
        shape=PIXELS.shape,
        dtype="u1",
        chunks=(4, 16, 16),
        zarr_format=version,
        **options,
    )
    array[:] = PIXELS
    return path / "a.zarr"


def write_ome(path: Path, version: str, shape: tuple[int, ...] = PIXELS.shape, **said: Any) -> Path:
    image = path / "ome.zarr"
    group = zarr.create_group(image, zarr_format=2 if version == "0.4" else 3)
    array = group.create_array(
        "0", shape=shape, dtype="u1", chunks=(1,) * (len(shape) - 2) + (8, 8)
    )
    array[:] = PIXELS.reshape(shape)
    names = "tczyx"[-len(shape) :]
    step = {"type": "scale", "scale": [1.0] * (len(shape) - 3) + [20.0, 4.0, 5.0]}
    multiscale = {
        "axes": [{"name": name, **NM} for name in names],
        "datasets": [{"path": "0", "coordinateTransformations": [step]}],
    } | said
    if version == "0.4":
        group.attrs["multiscales"] = [multiscale]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [multiscale]}
    return image


WRITERS = [write_tiff, write_contiguous, write_pngs, write_hdf5, write_zarr]


@pytest.mark.parametrize("write", WRITERS)
def test_sections_are_read_one_by_one(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    with open_source(write(tmp_path)) as source:
        assert (len(source), source.shape) == (7, PIXELS.shape)
        for number in (6, 0, 3, 3, -1):
            assert np.array_equal(source[number], PIXELS[number])
        assert np.array_equal(source[2:5], PIXELS[2:5])
        assert np.array_equal(source.load(), PIXELS)
        with pytest.raises(IndexError):
            source[7]


@pytest.mark.parametrize("write", WRITERS)
def test_a_stack_to_train_on_may_be_of_any_format(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    assert np.array_equal(read_stack(write(tmp_path), role="raw").array, PIXELS)


class Counting(Reader):
    def __init__(self, depth: int) -> None:
        self.shape, self.dtype, self.depth = (20, 4, 4), np.dtype(np.uint8), depth
        self.asked: list[tuple[int, int]] = []

    def read(self, first: int, stop: int) -> np.ndarray:
        self.asked.append((first, stop))
        return np.zeros((stop - first, 4, 4), np.uint8)


@pytest.mark.parametrize("depth", [1, 3, 50])
def test_sections_with_their_neighbours_are_read_once(depth: int) -> None:
    reader = Counting(depth)
    source = Source(Path("x"), "raw", reader)
    for number in range(20):
        for near in range(max(0, number - 3), min(20, number + 4)):
            source[near]
    assert len(reader.asked) == -(-20 // depth)
    assert sum(stop - first for first, stop in reader.asked) == 20


@pytest.mark.parametrize("depth", [1, 3])
def test_sections_that_lie_further_apart_are_remembered_for_longer(depth: int) -> None:
    reader = Counting(depth)
    source = Source(Path("x"), "raw", reader)
    source.remember(13)
    for number in range(20):
        for near in range(max(0, number - 6), min(20, number + 7), 3):
            source[near]
    assert sum(stop - first for first, stop in reader.asked) == 20


@pytest.mark.parametrize(
    ("free", "blocks"),
    [
        (10_000, [(0, 20)]),
        (1_500, [(0, 7), (7, 14), (14, 20)]),
        (0, [(z, z + 1) for z in range(20)]),
    ],
)
def test_a_deep_chunk_is_unpacked_as_seldom_as_memory_allows(
    monkeypatch: pytest.MonkeyPatch, free: int, blocks: list[tuple[int, int]]
) -> None:
    monkeypatch.setattr("trainer.source._BLOCK_BYTES", 16)
    monkeypatch.setattr("trainer.source.free_memory", lambda: free)
    reader = Counting(20)
    source = Source(Path("x"), "raw", reader)
    assert all(source[number].shape == (4, 4) for number in range(20))
    assert reader.asked == blocks


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("shape", [(7, 20, 24), (1, 7, 20, 24), (1, 1, 7, 20, 24)])
def test_an_ome_zarr_is_read_with_its_voxel_size(
    tmp_path: Path, version: str, shape: tuple[int, ...]
) -> None:
    stack = read_stack(write_ome(tmp_path, version, shape), role="raw")
    assert np.array_equal(stack.array, PIXELS)
    assert stack.voxel_size_nm == (20, 4, 5)


def test_the_scale_of_the_whole_image_counts_too(tmp_path: Path) -> None:
    twice = [{"type": "scale", "scale": [2, 2, 2]}]
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    path = write_ome(tmp_path, "0.5", coordinateTransformations=twice, axes=axes)
    assert voxel_size(path) == (40_000, 8_000, 10_000)


def test_an_image_without_units_has_no_voxel_size(tmp_path: Path) -> None:
    path = write_ome(tmp_path, "0.5", axes=[{"name": name} for name in "zyx"])
    assert voxel_size(path) is None


@pytest.mark.parametrize("version", [2, 3])
def test_plain_zarr_is_read(tmp_path: Path, version: int) -> None:
    path = write_zarr(tmp_path, version)
    assert np.array_equal(load(path), PIXELS)
    assert voxel_size(path) is None


def test_channels_of_an_ome_zarr_are_refused(tmp_path: Path) -> None:
    image = write_ome(tmp_path, "0.5", (1, 7, 20, 24))
    shutil.rmtree(image / "0")
    zarr.create_array(image / "0", shape=(2, 7, 20, 24), dtype="u1", chunks=(1, 1, 8, 8))
    assert "has 2 along c (2 x 7 x 20 x 24)" in refusal(image)


def test_a_folder_that_is_no_zarr_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    assert "is no zarr: it has no zarr.json" in refusal(tmp_path / "a.zarr")
    zarr.create_group(tmp_path / "b.zarr")
    assert "a zarr group without an image" in refusal(tmp_path / "b.zarr")


def test_several_arrays_have_to_be_chosen_from(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "a.zarr")
    for name in ("one", "two"):
        group.create_array(name, shape=(2, 8, 8), dtype="u1")
    assert "holds several arrays (one, two); name one of them" in refusal(tmp_path / "a.zarr")
    assert load(tmp_path / "a.zarr" / "two").shape == (2, 8, 8)


def test_an_image_outside_its_folder_is_refused(tmp_path: Path) -> None:
    write_zarr(tmp_path)
    path = write_ome(tmp_path, "0.5", datasets=[{"path": "../a.zarr"}])
    assert "where no zarr array is" in refusal(path)


def test_a_zarr_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = write_zarr(tmp_path, 2)
    described = json.loads((path / ".zarray").read_text())
    described["filters"] = [{"id": "pickle", "protocol": 5}]
    (path / ".zarray").write_text(json.dumps(described))
    assert "packed with 'pickle', which is not read here" in refusal(path)


@pytest.mark.parametrize("disguise", [{}, {"id": "zlib"}])
def test_a_zarr_of_two_versions_is_judged_by_the_one_that_is_read(
    tmp_path: Path, disguise: dict[str, str]
) -> None:
    path = write_zarr(tmp_path, 2)
    harmless = (path / ".zarray").read_bytes()
    shutil.rmtree(path)
    write_zarr(tmp_path, 3)
    (path / ".zarray").write_bytes(harmless)
    assert np.array_equal(load(path), PIXELS)
    described = json.loads((path / "zarr.json").read_text())
    described["codecs"].append({"name": "numcodecs.pickle", "configuration": {}} | disguise)
    (path / "zarr.json").write_text(json.dumps(described))
    assert "packed with 'pickle', which is not read here" in refusal(path)


def test_a_zarr_that_claims_terabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    zarr.create_array(path, shape=(10**4, 10**5, 10**5), dtype="u1", chunks=(1, 256, 256))
    assert "GB of memory" in refusal(path)
    zarr.create_array(tmp_path / "b.zarr", shape=(2, 10**7, 10**7), dtype="u1", chunks=(1, 8, 8))
    assert "GB of memory" in refusal(tmp_path / "b.zarr")


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ({"element_size_um": [0.02, 0.004, 0.005]}, (20, 4, 5)),
        ({"resolution": [40.0, 4.0, 4.0]}, (40, 4, 4)),
        ({"resolution": [4.0, 4.0]}, None),
        ({"element_size_um": "wide"}, None),
        ({}, None),
    ],
)
def test_the_voxel_size_of_hdf5_is_that_of_its_attributes(
    tmp_path: Path, attributes: dict[str, Any], size: Any
) -> None:
    path = write_hdf5(tmp_path)
    with h5py.File(path, "r+") as file:
        file["raw"].attrs.update(attributes)
    assert voxel_size(path) == size


def test_one_of_several_data_sets_is_named(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path)
    with h5py.File(path, "r+") as file:
        file["labels/cells"] = PIXELS[:3].astype(np.uint16)
        file["note"] = "text"
    line = refusal(path)
    assert "holds /labels/cells (3 x 20 x 24 uint16), /raw (7 x 20 x 24 uint8)" in line
    assert line.endswith("name one of them, as in a.h5:/labels/cells")
    assert np.array_equal(load(Path(f"{path}:/labels/cells")), PIXELS[:3])
    assert "no images named /cells; it holds" in refusal(Path(f"{path}:/cells"))


def test_hdf5_without_images_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["note"] = "text"
    assert "holds no images where one stack" in refusal(tmp_path / "a.h5")


def test_hdf5_with_channels_or_nothing_in_it_is_refused(tmp_path: Path) -> None:
    for name, shape in (("a.h5", (2, 7, 20, 24)), ("b.h5", (0, 20, 24))):
        with h5py.File(tmp_path / name, "w") as file:
            file["raw"] = np.zeros(shape, np.uint8)
    assert "has 4 axes (2 x 7 x 20 x 24)" in refusal(tmp_path / "a.h5")
    assert "size zero" in refusal(tmp_path / "b.h5")


def test_hdf5_whose_values_lie_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(bytes(8 * 8 * 8))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", (8, 8, 8), "u1", external=[(str(tmp_path / "other"), 0, 512)])
    assert "keeps its values in other files" in refusal(tmp_path / "a.h5")


def test_hdf5_that_is_put_together_from_other_files_is_refused(tmp_path: Path) -> None:
    with h5py.File(write_hdf5(tmp_path), "r") as file:
        layout = h5py.VirtualLayout(PIXELS.shape, "u1")
        layout[:] = h5py.VirtualSource(file["raw"])
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_virtual_dataset("raw", layout)
    assert "keeps its values in other files" in refusal(tmp_path / "b.h5")


def test_values_that_are_not_finite_are_refused_when_their_section_is_read(tmp_path: Path) -> None:
    array = PIXELS.astype(np.float32)
    array[4, 3, 2] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", array)
    with open_source(tmp_path / "a.tif") as source:
        assert np.array_equal(source[3], array[3])
        with pytest.raises(InputError, match="section 4 holds NaN"):
            source[4]


def test_one_section_is_a_volume_but_no_stack_to_train_on(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[0])
    assert load(tmp_path / "a.tif").shape == (1, 20, 24)
    with pytest.raises(InputError, match="holds one section"):
        read_stack(tmp_path / "a.tif", role="raw")


# Whatever bytes a file has, it is a volume or one line says why it is none.


def read_or_refuse(path: Path) -> None:
    with contextlib.suppress(InputError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_source(path) as source:
            assert source.load().shape == source.shape


ANY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CHANGES = st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=6)


@ANY
@given(start=st.sampled_from([b"", b"II*\0", b"MM\0+", b"\x89HDF\r\n\x1a\n"]), rest=st.binary())
def test_any_bytes_are_a_volume_or_refused(tmp_path: Path, start: bytes, rest: bytes) -> None:
    (tmp_path / "any").write_bytes(start + rest)
    read_or_refuse(tmp_path / "any")


@pytest.mark.parametrize("write", WRITERS)
@ANY
@given(changes=CHANGES, file=st.floats(0, 0.999), kept=st.floats(0.5, 1))
def test_a_damaged_volume_is_read_or_refused(
    tmp_path: Path,
    write: Callable[[Path], Path],
    changes: list[tuple[float, int]],
    file: float,
    kept: float,
) -> None:
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    path = write(tmp_path)
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    damaged = files[int(file * len(files))]
    content = bytearray(damaged.read_bytes())
    for place, value in changes:
        content[int(place * min(len(content), 600))] = value
    damaged.write_bytes(content[: int(kept * len(content)) if kept < 0.75 else None])
    read_or_refuse(path)
