from __future__ import annotations

import contextlib
import struct
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from small_stack import PIXELS, refusal

from trainer.errors import InputError
from trainer.stack import read_stack, write_stack


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stack.tif"


def test_a_tiff_is_read_as_it_is_stored(path: Path) -> None:
    tifffile.imwrite(path, PIXELS)
    stack = read_stack(path, role="raw")
    assert np.array_equal(stack.array, PIXELS)
    assert stack.voxel_size_nm is None


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib", "predictor": True},
        {"compression": "lzw"},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"imagej": True},
        {"ome": True},
        {"tile": (16, 16)},
        {"metadata": None},
    ],
)
def test_every_common_kind_of_tiff_is_read(path: Path, options: dict) -> None:
    tifffile.imwrite(path, PIXELS, **options)
    assert np.array_equal(read_stack(path, role="raw").array, PIXELS)


def test_sections_written_one_by_one_are_read_as_one_stack(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        for section in PIXELS:
            writer.write(section, compression="zlib")
    assert np.array_equal(read_stack(path, role="raw").array, PIXELS)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", ">u2", "i2", "u4", "f2", "f4", "f8"])
def test_every_grey_type_is_read(path: Path, dtype: str) -> None:
    array = (PIXELS // 2).astype(dtype)
    tifffile.imwrite(path, array)
    assert np.array_equal(read_stack(path, role="raw").array, array)


def test_a_mask_may_be_of_truth_values(path: Path) -> None:
    tifffile.imwrite(path, PIXELS > 99)
    assert np.array_equal(read_stack(path, role="mask").array, PIXELS > 99)
    assert "bool" in refusal(path, "raw")


def test_axes_of_one_channel_and_one_time_point_do_not_count(path: Path) -> None:
    array = PIXELS[None, :, None]
    tifffile.imwrite(path, array, metadata={"axes": "TZCYX"})
    assert read_stack(path, role="raw").array.shape == PIXELS.shape


@pytest.mark.parametrize("size", [(8.0, 4.0, 5.0), (29.7, 3.3, 3.1), None])
def test_a_written_stack_is_read_back(path: Path, size: tuple[float, float, float] | None) -> None:
    write_stack(path, PIXELS, size)
    stack = read_stack(path, role="raw")
    assert np.array_equal(stack.array, PIXELS)
    assert stack.voxel_size_nm == size


@pytest.mark.parametrize("shape", [(4, 9, 3), (4, 3, 9), (3, 1, 5), (2, 4, 1)])
def test_a_written_stack_of_odd_shape_is_read_back(path: Path, shape: tuple[int, int, int]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    write_stack(path, array, (5, 5, 5))
    assert np.array_equal(read_stack(path, role="raw").array, array)


def test_a_written_mask_of_truth_values_is_read_back(path: Path) -> None:
    write_stack(path, PIXELS > 9, None)
    assert np.array_equal(read_stack(path, role="mask").array, PIXELS > 9)


def test_a_written_stack_shows_its_pixel_size_to_other_programs(path: Path) -> None:
    write_stack(path, PIXELS, (8, 4, 5))
    with tifffile.TiffFile(path) as tiff:
        assert tiff.imagej_metadata is not None
        assert (tiff.imagej_metadata["unit"], tiff.imagej_metadata["spacing"]) == ("um", 0.008)
        per_um = [tiff.pages.first.tags[f"{axis}Resolution"].value for axis in "XY"]
    assert [pixels / units for pixels, units in per_um] == pytest.approx([1e3 / 5, 1e3 / 4])


def test_a_stack_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_stack(target, PIXELS, None)
    with pytest.raises(InputError, match="cannot be written"):
        write_stack(tmp_path / "missing" / "stack.tif", PIXELS, None)
    assert list(tmp_path.iterdir()) == [target]


# Voxel sizes


def json_of(**described: object) -> dict:
    return {"metadata": {"axes": "ZYX", **described}}


def imagej(unit: str | None, *, spacing: float | None = 0.02, **options: object) -> dict:
    described = {"axes": "ZYX", "unit": unit, "spacing": spacing}
    return {"imagej": True, "metadata": described, **options}


def ome(**described: object) -> dict:
    return {"ome": True, **json_of(**described)}


def plane(x: float, y: float, unit: str) -> dict:
    return {"resolution": (x, y), "resolutionunit": unit}


INCH = {"resolution": (200, 200), "resolutionunit": "INCH"}
CENTIMETER = {"resolution": (2e6, 1e6), "resolutionunit": "CENTIMETER"}


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (json_of(spacing=0.005, unit="um") | INCH, (5, 5, 5)),
        (json_of(spacing=0.005, unit="um"), (5, 5, 5)),
        (json_of(spacing=0.02, unit="um") | CENTIMETER, (20, 10, 5)),
        (json_of(spacing=0.02, unit="um") | plane(200, 250, "NONE"), (20, 4, 5)),
        (json_of(spacing=0.02, unit="um") | plane(200, 250, "MICROMETER"), (20, 4, 5)),
        (json_of(spacing=20, unit="nm") | plane(2e5, 2.5e5, "MILLIMETER"), (20, 4, 5)),
        (json_of(spacing=0.02, unit="um") | plane(1, 1, "NONE"), (20, 20, 20)),
        (json_of(spacing=0.02, unit="um") | plane(1, 1, "INCH"), (20, 20, 20)),
        # Four nanometers, or dots per inch that nobody chose: whoever has the file is asked.
        (json_of(spacing=0.05, unit="um") | {"resolution": (250, 250)}, None),
        (json_of(spacing=[20, 4, 5], unit="nm") | INCH, (20, 4, 5)),
        (json_of(spacing=8), None),
        (json_of(spacing="wide", unit="nm"), None),
        (json_of(spacing=-5, unit="nm"), None),
        (json_of(spacing=8, unit="pixel"), None),
        (INCH, None),
        (CENTIMETER, None),
        (imagej("um", resolution=(200, 250)), (20, 4, 5)),
        (imagej("micron", resolution=(200, 250)), (20, 4, 5)),
        (imagej("\\u00B5m", resolution=(200, 250)), (20, 4, 5)),
        (imagej("nm", spacing=20, resolution=(0.2, 0.25)), (20, 4, 5)),
        (imagej("mm", spacing=2e-5, resolution=(2e5, 2.5e5)), (20, 4, 5)),
        (imagej("cm", spacing=2e-6) | CENTIMETER, (20, 10, 5)),
        (imagej("um") | CENTIMETER, (20, 10, 5)),
        (imagej("um") | INCH, None),
        (imagej("um"), None),
        (imagej("um", spacing=None, resolution=(200, 250)), None),
        (imagej("inch", resolution=(200, 250)), None),
        (imagej("pixel", resolution=(200, 250)), None),
        (imagej(None, resolution=(200, 250)), None),
        (ome(PhysicalSizeX=0.005, PhysicalSizeY=0.004, PhysicalSizeZ=0.02), (20, 4, 5)),
        (
            ome(
                PhysicalSizeX=5,
                PhysicalSizeXUnit="nm",
                PhysicalSizeY=4e-6,
                PhysicalSizeYUnit="mm",
                PhysicalSizeZ=0.02,
                PhysicalSizeZUnit="µm",
            ),
            (20, 4, 5),
        ),
        (ome(PhysicalSizeX=0.005, PhysicalSizeY=0.004), None),
        (ome(PhysicalSizeX=5, PhysicalSizeY=5, PhysicalSizeZ=5, PhysicalSizeZUnit="pixel"), None),
    ],
)
def test_the_voxel_size_is_what_the_file_says(
    path: Path, options: dict, size: tuple[float, float, float] | None
) -> None:
    tifffile.imwrite(path, PIXELS, **options)
    assert read_stack(path, role="raw").voxel_size_nm == size


# Bad files


def test_a_missing_file_is_named_as_it_was_given() -> None:
    line = refusal(Path("data/nowhere.tif"), "mask")
    assert line.endswith("no such file; name it as mask under [data] or by --mask")


@pytest.mark.parametrize("content", [b"", b"II", b"not an image at all", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_not_a_tiff_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert "not a TIFF" in refusal(path) or "truncated" in refusal(path)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"metadata": None}])
@pytest.mark.parametrize("share", [0.0, 0.005, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_tiff_is_refused(path: Path, options: dict, share: float) -> None:
    tifffile.imwrite(path, PIXELS, **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refusal(path)


def test_a_tiff_without_the_last_pages_is_refused(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        for section in PIXELS:
            writer.write(section, metadata=None, compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        third = tiff.pages[3].offset
    path.write_bytes(path.read_bytes()[:third])
    assert "truncated" in refusal(path)


def test_pages_that_point_back_in_a_circle_are_refused(path: Path) -> None:
    tifffile.imwrite(path, PIXELS, metadata=None)
    with tifffile.TiffFile(path) as tiff:
        first, end = tiff.pages[0].offset, len(tiff.pages) and tiff.pages.next_page_offset
    content = bytearray(path.read_bytes())
    content[end : end + 4] = struct.pack("<I", first)
    path.write_bytes(content)
    assert "page 8 lies outside" in refusal(path)


def test_one_page_is_not_a_stack(path: Path) -> None:
    tifffile.imwrite(path, PIXELS[0])
    assert "holds one section (20 x 24) where a stack is needed" in refusal(path)


@pytest.mark.parametrize("samples", [3, 4])
def test_colour_is_refused(path: Path, samples: int) -> None:
    colour = np.zeros((5, 16, 18, samples), np.uint8)
    tifffile.imwrite(path, colour, photometric="rgb")
    assert "RGB" in refusal(path)


def test_channels_are_refused(path: Path) -> None:
    array = np.zeros((2, 5, 3, 8, 9), np.uint8)
    tifffile.imwrite(path, array, imagej=True, metadata={"axes": "TZCYX"})
    assert "5 axes, t = 2, z = 5, c = 3, y = 8, x = 9" in refusal(path)


NAMED = {"Channel": {"Name": [f"stain {number}" for number in range(3)]}}


@pytest.mark.parametrize("axes", ["CYX", "ZCYX", "TCYX"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"imagej": True, "metadata": {"mode": "composite"}},
        {"imagej": True, "metadata": {"mode": "color"}},
        {"ome": True, "metadata": NAMED},
    ],
)
def test_channels_of_one_section_are_no_sections(path: Path, axes: str, options: dict) -> None:
    array = PIXELS[:3].reshape((1,) * (len(axes) - 3) + (3, 20, 24))
    metadata = {"axes": axes, **options.get("metadata", {})}
    tifffile.imwrite(path, array, photometric="minisblack", **{**options, "metadata": metadata})
    assert "the axes c = 3, y = 20, x = 24; z, y, x are expected: save one channel" in refusal(path)


def test_axes_in_another_order_are_refused(path: Path) -> None:
    tifffile.imwrite(path, PIXELS, metadata={"axes": "XYZ"})
    assert "the axes x = 7, y = 20, z = 24" in refusal(path)


@pytest.mark.filterwarnings("ignore:.*zero-size")
def test_an_image_of_size_zero_is_refused(path: Path) -> None:
    tifffile.imwrite(path, PIXELS[:0])
    assert "size zero" in refusal(path)


def test_pages_of_different_shapes_are_refused(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(PIXELS, metadata=None)
        writer.write(PIXELS[0, :10, :11], metadata=None)
    assert "different shapes or types (10 x 11 and 7 x 20 x 24)" in refusal(path)


def test_complex_values_are_refused(path: Path) -> None:
    tifffile.imwrite(path, PIXELS.astype(np.complex64))
    assert "complex64" in refusal(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_are_refused(path: Path, value: float) -> None:
    array = PIXELS.astype(np.float64)
    array[4, 3, 2] = value
    tifffile.imwrite(path, array)
    assert "section 4 holds NaN, infinite or huge values" in refusal(path)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "zstd"])
def test_a_header_that_claims_terabytes_is_refused_at_once(
    path: Path, compression: str | None
) -> None:
    tifffile.imwrite(path, PIXELS, metadata=None, compression=compression)
    for tag in ("ImageWidth", "ImageLength"):
        with tifffile.TiffFile(path, mode="r+") as tiff:
            for page in tiff.pages:
                page.tags[tag].overwrite(1_000_000, dtype="I")
    line = refusal(path)
    assert "claims" in line or "GB of memory" in line


def test_a_described_shape_beyond_the_pages_is_refused(path: Path) -> None:
    tifffile.imwrite(path, PIXELS, metadata=None, description='{"shape": [70000, 20, 24]}')
    assert "claims" in refusal(path)


WHOLE_FILES = {
    "compressed": {"compression": "zlib"},
    "ImageJ": {"imagej": True},
    "ome": {"ome": True},
    "plain": {"metadata": None},
}


@pytest.mark.parametrize("kind", WHOLE_FILES)
def test_damaged_bytes_are_read_or_refused_in_one_line(path: Path, kind: str) -> None:
    tifffile.imwrite(path, PIXELS[:5, :6, :7], **WHOLE_FILES[kind])
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(30):
        content = bytearray(whole)
        content[rng.integers(4, 400)] = rng.integers(256)
        path.write_bytes(content)
        with contextlib.suppress(InputError):
            assert read_stack(path, role="mask").array.ndim == 3


# Several files, and parts of one


IDS = {name: uuid.UUID(int=number).urn for number, name in enumerate("ab", start=1)}


def write_in_two_files(folder: Path, pixels: np.ndarray, **options: Any) -> Path:
    """An OME-TIFF whose later sections lie in a second file, which its header names."""
    cut = len(pixels) // 2
    places = "".join(
        f'<TiffData FirstZ="{z}" FirstC="0" FirstT="0" IFD="{z % cut}" PlaneCount="1">'
        f'<UUID FileName="{name}.ome.tif">{IDS[name]}</UUID></TiffData>'
        for z, name in enumerate(cut * "a" + cut * "b")
    )
    for name, part in zip(IDS, np.split(pixels, 2), strict=True):
        header = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="{IDS[name]}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
            f'Type="uint8" SizeX="{pixels.shape[2]}" SizeY="{pixels.shape[1]}" '
            f'SizeZ="{len(pixels)}" SizeC="1" SizeT="1">'
            f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{places}</Pixels></Image></OME>'
        )
        with tifffile.TiffWriter(folder / f"{name}.ome.tif") as writer:
            for index, section in enumerate(part):
                told = None if index else header.encode()
                writer.write(section, description=told, metadata=None, contiguous=False, **options)
    return folder / "a.ome.tif"


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_an_ome_tiff_in_several_files_is_read_whole_or_not_at_all(
    tmp_path: Path, compression: str | None
) -> None:
    path = write_in_two_files(tmp_path, PIXELS[:6], compression=compression)
    assert np.array_equal(read_stack(path, role="raw").array, PIXELS[:6])
    (tmp_path / "b.ome.tif").unlink()
    assert "lists 3 sections that are neither in it nor in the files beside it" in refusal(path)


def test_an_acquisition_that_was_stopped_has_no_black_sections(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.ome.tif", tmp_path / "part.ome.tif"
    tifffile.imwrite(whole, PIXELS, metadata={"axes": "ZYX"}, compression="zlib")
    with tifffile.TiffFile(whole) as file:
        header = str(file.ome_metadata).encode()
    with tifffile.TiffWriter(path) as writer:
        for index, section in enumerate(PIXELS[:5]):
            told = None if index else header
            writer.write(
                section, description=told, metadata=None, compression="zlib", contiguous=False
            )
    assert "lists 2 sections that are neither" in refusal(path)
