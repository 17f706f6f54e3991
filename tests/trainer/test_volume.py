from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from trainer.errors import InputError
from trainer.stack import write_stack
from trainer.volume import Volume, load_volume

RAW = np.random.default_rng(0).integers(0, 255, (6, 12, 14), dtype=np.uint8)
MASK = (RAW > 200).astype(np.uint8) * 255
Size = tuple[float, float, float]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "raw.tif", tmp_path / "mask.tif"


def load(
    files: tuple[Path, Path],
    raw: np.ndarray = RAW,
    mask: np.ndarray = MASK,
    sizes: tuple[Size | None, Size | None] = (None, None),
    given: Size | None = None,
) -> Volume:
    write_stack(files[0], raw, sizes[0])
    write_stack(files[1], mask, sizes[1])
    return load_volume(*files, given)


def test_foreground_is_every_value_but_zero(files: tuple[Path, Path]) -> None:
    volume = load(files)
    assert np.array_equal(volume.raw, RAW)
    assert volume.mask.dtype == np.uint8
    assert np.array_equal(volume.mask, RAW > 200)
    assert volume.notes == ()


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        ("u1", "u1"),
        ("u2", "u2"),
        ("i1", "f4"),
        ("i2", "f4"),
        ("u4", "f4"),
        ("i4", "f4"),
        ("f2", "f4"),
        ("f4", "f4"),
        ("f8", "f4"),
    ],
)
def test_raw_keeps_its_values_in_one_of_three_types(
    files: tuple[Path, Path], stored: str, kept: str
) -> None:
    write_stack(files[1], MASK, None)
    tifffile.imwrite(files[0], (RAW // 2).astype(stored))
    volume = load_volume(*files)
    assert volume.raw.dtype == np.dtype(kept)
    assert np.array_equal(volume.raw, RAW // 2)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "?"])
def test_a_mask_may_be_of_any_type(files: tuple[Path, Path], dtype: str) -> None:
    assert np.array_equal(load(files, mask=MASK.astype(dtype)).mask, RAW > 200)


def test_instance_labels_are_foreground_and_said_so(files: tuple[Path, Path]) -> None:
    labels = np.zeros(RAW.shape, np.uint16)
    labels[2:, 3], labels[3, 5:9], labels[4, 9:] = 1, 700, 40000
    volume = load(files, mask=labels)
    assert np.array_equal(volume.mask, labels > 0)
    assert volume.notes == (
        f"mask {files[1]} holds 4 values: read as instance labels, every value but 0 is foreground",
    )


def test_the_size_given_wins_over_the_files(files: tuple[Path, Path]) -> None:
    assert load(files, sizes=((8, 4, 4), (9, 4, 4)), given=(7, 3, 3)).voxel_size_nm == (7, 3, 3)


def test_the_size_of_raw_wins_over_the_size_of_the_mask_and_that_is_said(
    files: tuple[Path, Path],
) -> None:
    volume = load(files, sizes=((8, 4, 4), (9, 4, 4)))
    assert volume.voxel_size_nm == (8, 4, 4)
    assert "the raw's size is used" in volume.notes[0]


def test_the_size_of_the_mask_counts_where_raw_does_not_say(files: tuple[Path, Path]) -> None:
    assert load(files, sizes=(None, (9, 4, 4))).voxel_size_nm == (9, 4, 4)
    assert load(files).voxel_size_nm is None


@pytest.mark.parametrize(
    "size",
    [
        (5, 5),
        (5, 5, 5, 5),
        (5, 0, 5),
        (5, -5, 5),
        (5, float("nan"), 5),
        ("5", 5, 5),
        (1e300, 5, 5),
        (5, 5, 1e-5),
    ],
)
def test_a_size_that_is_none_is_refused(files: tuple[Path, Path], size: tuple) -> None:
    with pytest.raises(InputError, match=r"^voxel_size_nm: expected three numbers from 0\.001"):
        load(files, given=size)


def refusal(files: tuple[Path, Path], **arrays: np.ndarray) -> str:
    with pytest.raises(InputError) as refused:
        load(files, **arrays)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_raw_and_mask_of_different_shapes_are_refused(files: tuple[Path, Path]) -> None:
    line = refusal(files, mask=MASK[:5])
    assert f"raw {files[0]} is 6 x 12 x 14 and mask {files[1]} is 5 x 12 x 14" in line


def test_an_empty_mask_is_refused(files: tuple[Path, Path]) -> None:
    assert f"mask {files[1]}: is empty" in refusal(files, mask=MASK * 0)


def test_a_mask_that_is_all_foreground_is_refused(files: tuple[Path, Path]) -> None:
    assert f"mask {files[1]}: is all foreground" in refusal(files, mask=MASK * 0 + 3)


def test_a_missing_mask_is_told_as_the_mask(files: tuple[Path, Path]) -> None:
    write_stack(files[0], RAW, None)
    with pytest.raises(InputError, match=f"mask {files[1]}: no such file.*--mask"):
        load_volume(*files)


def test_equal_volumes_have_equal_fingerprints() -> None:
    volume = Volume(RAW, MASK, None)
    assert volume.sha256 == Volume(RAW.copy(), MASK.copy(), (5, 5, 5), ("note",)).sha256
    assert len(volume.sha256) == 64


@pytest.mark.parametrize(
    ("raw", "mask"),
    [
        (RAW ^ 1, MASK),
        (RAW, MASK ^ 1),
        (RAW.astype(np.uint16), MASK),
        (RAW.reshape(6, 14, 12), MASK.reshape(6, 14, 12)),
    ],
)
def test_other_values_shapes_or_types_have_other_fingerprints(
    raw: np.ndarray, mask: np.ndarray
) -> None:
    other, volume = Volume(raw, mask, None), Volume(RAW, MASK, None)
    assert other.sha256 != volume.sha256
    assert (other.raw_sha256 == volume.raw_sha256) == (raw is RAW)
