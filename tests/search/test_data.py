from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_config import TABLE, build_config

from search.data import StudyData, Unseen, find_unseen, load_data
from trainer.errors import InputError
from trainer.phantom import build_phantom
from trainer.stack import read_stack, write_stack

SIZE = (5.0, 4.0, 4.0)


class Files:
    """Image and mask in files, and the data that a config makes of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        random = np.random.default_rng(0)
        self.raw = random.integers(0, 255, (20, 32, 40), dtype=np.uint8)
        self.mask = (random.random((20, 32, 40)) < 0.3).astype(np.uint8)

    def load(self, voxel_size_nm: Any = None, **sections: dict[str, Any]) -> StudyData:
        write_stack(self.folder / "raw.tif", self.raw, SIZE)
        write_stack(self.folder / "mask.tif", self.mask, None)
        data = {"raw": self.folder / "raw.tif", "mask": self.folder / "mask.tif"}
        if voxel_size_nm:
            data["voxel_size_nm"] = voxel_size_nm
        return load_data(build_config(self.folder, data=data, **sections))

    def refusal(self, **sections: dict[str, Any]) -> str:
        with pytest.raises(InputError) as caught:
            self.load(**sections)
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_files_become_a_volume_and_its_blocks(files: Files) -> None:
    data = files.load(split={"gap": 2, "holdout": [16, 20], "validation": [10, 13]})
    assert np.array_equal(data.volumes[0].volume.raw, files.raw)
    assert np.array_equal(data.volumes[0].volume.mask, files.mask)
    split = data.volumes[0].split
    assert (split.train, split.validation, split.holdout) == (
        range(8),
        range(10, 13),
        range(16, 20),
    )


def test_the_held_out_sections_may_have_a_gap_of_their_own(files: Files) -> None:
    blocks = {"gap": 2, "holdout": [16, 20], "validation": [10, 13]}
    data = files.load(split={**blocks, "holdout_gap": 1})
    assert data.volumes[0].split.all == range(15)
    assert data.to_json()["holdout_gap"] == 1
    assert "held out 16 to 19, gap 2, 1 beside the held out" in data.describe()[1]
    assert "holdout_gap" not in files.load(split=blocks).to_json()
    refusal = files.refusal(split={"gap": 2, "holdout_gap": 0})
    assert "holdout_gap = 0: expected a holdout beside it, got none" in refusal


def test_what_is_kept_with_the_study_tells_the_data_again(files: Files) -> None:
    data = files.load(split={"gap": 2})
    kept = data.to_json()
    assert json.loads(json.dumps(kept)) == kept
    assert kept["sha256"] == data.volumes[0].volume.sha256
    assert (kept["shape"], kept["voxel_size_nm"]) == ([20, 32, 40], list(SIZE))
    assert (kept["train"], kept["validation"], kept["gap"]) == ([0, 14], [16, 20], 2)
    assert kept["holdout"] is None
    files.mask[0, 0, 0] ^= 1
    assert files.load(split={"gap": 2}).to_json()["sha256"] != kept["sha256"]


def test_the_configs_voxel_size_goes_before_the_files(files: Files) -> None:
    assert files.load().volumes[0].volume.voxel_size_nm == SIZE
    assert files.load(voxel_size_nm=[9, 8, 7]).volumes[0].volume.voxel_size_nm == (9, 8, 7)


def test_the_gap_is_measured_where_the_config_leaves_it_open(files: Files) -> None:
    files.raw = np.repeat(files.raw[:5], 4, axis=0)
    assert files.load(split={"gap": "auto"}).volumes[0].split.gap == 4


def test_a_person_is_told_what_is_trained_on(files: Files) -> None:
    files.mask = files.mask * 7
    files.mask[0, 0, 0] = 9
    lines = files.load(split={"gap": 2, "holdout": [17, 20]}).describe()
    assert "20 sections of 32 x 40" in lines[0]
    assert "5 x 4 x 4 nm" in lines[0]
    assert "held out 17 to 19, gap 2" in lines[1]
    assert any("instance" in line for line in lines[2:])


def test_a_phantom_is_the_same_at_every_start(tmp_path: Path) -> None:
    config = build_config(tmp_path)
    data = load_data(config)
    assert data.volumes[0].volume.raw.shape == (12, 32, 32)
    assert data.to_json() == load_data(config).to_json()


def test_a_tile_that_is_larger_than_the_sections_is_refused(files: Files) -> None:
    space = {**TABLE["space"], "tile_size": [16, 64]}
    message = files.refusal(space=space)
    assert message.startswith("space.tile_size: expected at most 32")
    assert "32 x 40" in message
    assert "64" in message


def test_a_tile_of_more_sections_than_are_trained_on_is_refused(files: Files) -> None:
    space = {**TABLE["space"], "dimensions": ["2d", "3d"], "tile_sections": [8, 16]}
    message = files.refusal(space=space, split={"gap": 2})
    assert message.startswith("space.tile_sections: expected at most 14, the sections to train on")
    assert "(0 to 13), got 16; " in message
    files.load(space=space | {"tile_sections": 8}, split={"gap": 2})
    files.load(space=TABLE["space"] | {"tile_sections": 16}, split={"gap": 2})


@pytest.mark.parametrize("block", ["training", "validation"])
def test_a_block_without_foreground_is_refused(files: Files, block: str) -> None:
    files.mask[slice(0, 15) if block == "training" else slice(15, 20)] = 0
    message = files.refusal(split={"gap": 1})
    assert message.startswith("split: ")
    assert f"{block} sections {'0 to 14' if block == 'training' else '16 to 19'}" in message


@pytest.mark.parametrize(
    ("split", "part"),
    [
        ({"gap": 19}, "gap 19"),
        ({"validation": [18, 22]}, "validation"),
        ({"holdout": [30, 40]}, "holdout"),
    ],
)
def test_a_split_that_leaves_nothing_is_refused(
    files: Files, split: dict[str, Any], part: str
) -> None:
    assert part in files.refusal(split=split)


def test_a_second_phantom_is_written_for_the_first_evaluation(tmp_path: Path) -> None:
    config = build_config(tmp_path)
    written = find_unseen(config)
    folder = tmp_path / "mito/unseen"
    assert written == Unseen(folder / "raw.tif", folder / "mask.tif")
    other = build_phantom(12, 32, 32, seed=2)
    assert np.array_equal(read_stack(written.raw, role="raw").array, other.raw)
    assert np.array_equal(read_stack(written.mask, role="mask").array, other.mask)


def test_of_real_data_the_held_out_sections_are_unseen(tmp_path: Path) -> None:
    files = {"raw": "a.tif", "mask": "b.tif"}
    assert find_unseen(build_config(tmp_path, data=files)) is None
    held = build_config(tmp_path, data=files, split={"holdout": [4, 9]})
    assert find_unseen(held) == Unseen(Path("a.tif"), Path("b.tif"), (4, 9))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_other_kinds_of_grey_values_are_taken_as_they_are(files: Files, kind: type) -> None:
    files.raw = files.raw.astype(kind)
    assert files.load().volumes[0].volume.raw.dtype == kind


def test_finalists_are_repeated_on_further_folds(files: Files) -> None:
    data = files.load(split={"gap": 2}, finalists={"count": 2, "folds": 2})
    (only,) = data.volumes
    (second,) = only.folds
    assert only.splits == (only.split, second)
    assert (second.validation, second.train) == (range(4), range(6, 20))
    assert "fold 1 of the finalists: train 6 to 19, validate 0 to 3" in data.describe()
    # A study is known again whatever its finalists are repeated on.
    assert data.to_json() == files.load(split={"gap": 2}).to_json()


def test_where_nothing_is_repeated_there_are_no_folds(files: Files) -> None:
    assert files.load(split={"gap": 2}, finalists={"count": 1, "folds": 99}).volumes[0].folds == ()


def test_folds_that_cannot_be_are_refused_before_anything_is_trained(files: Files) -> None:
    refusal = files.refusal(split={"gap": 2}, finalists={"count": 2, "folds": 9})
    assert refusal.startswith("finalists.folds = 9 in sections [0, 20] with blocks of 4")
    files.mask[:4] = 0
    refusal = files.refusal(split={"gap": 2}, finalists={"count": 2, "folds": 2})
    assert refusal.startswith("finalists.folds: expected foreground in the validation sections 0")


PHANTOM = {"sections": 24, "height": 96, "width": 96, "seed": 1}


def two_volumes(
    folder: Path, files: Files, size: tuple[float, ...] | None, channels: int = 3, **own: Any
) -> StudyData:
    """A phantom of 8 nm, and the files at another voxel size, for networks of some sections."""
    write_stack(folder / "raw.tif", files.raw, size)
    write_stack(folder / "mask.tif", files.mask, None)
    second = {"raw": folder / "raw.tif", "mask": folder / "mask.tif", "name": "new", **own}
    first = {"phantom": PHANTOM}
    space = {"depth": 1, "tile_size": 16, "section_channels": channels}
    finalists = {"count": 2, "folds": 2}
    return load_data(build_config(folder, data=[first, second], finalists=finalists, space=space))


def test_each_volume_is_split_on_its_own_and_folded_on_its_own(
    files: Files, tmp_path: Path
) -> None:
    data = two_volumes(tmp_path, files, (8, 8, 8), validation=[8, 12], gap=2, holdout=[17, 20])
    first, second = data.volumes
    assert (first.split.validation, first.split.gap) == (range(19, 24), 1)
    assert (second.split.train, second.split.validation) == (range(6), range(8, 12))
    assert (second.split.holdout, second.split.gap) == (range(17, 20), 2)
    assert len(first.folds) == len(second.folds) == 1
    assert second.folds[0].validation != second.split.validation
    assert data.voxel_size_nm == (8, 8, 8)


def test_several_volumes_are_told_apart_in_lines_and_in_what_is_kept(
    files: Files, tmp_path: Path
) -> None:
    data = two_volumes(tmp_path, files, None)
    lines, kept = data.describe(), data.to_json()
    assert lines[0].startswith("volume 1: volume: 24 sections of 96 x 96, voxels 8 x 8 x 8 nm")
    assert any(line.startswith("new: sections: train 0 to ") for line in lines)
    assert any(line.startswith("new: the voxel size of this volume") for line in lines)
    assert json.loads(json.dumps(kept)) == kept
    assert kept["voxel_size_nm"] == [8.0, 8.0, 8.0]
    assert [each["name"] for each in kept["volumes"]] == ["volume 1", "new"]
    files.mask[0, 0, 0] ^= 1
    assert two_volumes(tmp_path, files, None).to_json() != kept


def test_a_volume_of_other_voxels_is_resampled_to_the_first_ones(
    files: Files, tmp_path: Path
) -> None:
    data = two_volumes(tmp_path, files, (16, 4, 4), validation=[10, 13], gap=2)
    (_, second) = data.volumes
    assert second.volume.raw.shape == second.volume.mask.shape == (40, 16, 20)
    assert second.volume.voxel_size_nm == (8, 8, 8)
    # Blocks are named in the sections of the file.
    assert (second.split.validation, second.split.train, second.split.gap) == (
        range(20, 26),
        range(16),
        4,
    )
    line = "new: resampled from 20 x 32 x 40 voxels of 16 x 4 x 4 nm to 40 x 16 x 20 of 8 x 8 x 8"
    assert any(each.startswith(line) for each in data.describe())
    kept = data.to_json()["volumes"][1]
    assert (kept["shape"], kept["validation"]) == ([40, 16, 20], [20, 26])
    assert (kept["file"]["shape"], kept["file"]["validation"]) == ([20, 32, 40], [10, 13])
    assert kept["file"]["sha256"] != kept["sha256"]
    alike = two_volumes(tmp_path, files, (8.3, 7.7, 8.0)).volumes[1]
    assert np.array_equal(alike.volume.raw, files.raw)
    assert alike.origin is None


def test_networks_of_single_sections_see_those_of_the_file_however_thick(
    files: Files, tmp_path: Path
) -> None:
    (_, second) = two_volumes(tmp_path, files, (160, 4, 4), 1, validation=[10, 13], gap=2).volumes
    assert second.volume.raw.shape == (20, 16, 20)
    assert second.volume.voxel_size_nm == (160, 8, 8)
    assert (second.split.validation, second.split.gap) == (range(10, 13), 2)
    # Means of 2 x 2 voxels of each section.
    means = files.raw.reshape(20, 16, 2, 20, 2).mean((2, 4))
    assert np.abs(second.volume.raw - means).max() <= 0.5


@pytest.mark.parametrize(
    ("block", "key"), [(range(10, 13), "split"), (range(3), "finalists.folds")]
)
def test_objects_that_are_too_small_at_the_first_ones_voxels_are_missed(
    files: Files, tmp_path: Path, block: range, key: str
) -> None:
    files.mask[block.start : block.stop] = 0
    files.mask[block.start : block.stop, 4, 4] = 1
    with pytest.raises(InputError) as caught:
        two_volumes(tmp_path, files, (8, 2, 2), validation=[10, 13], gap=2)
    assert str(caught.value).startswith(f"data, new: {key}: expected foreground in the validation")
    assert "at these voxels its objects are too small" in str(caught.value)


def test_what_is_wrong_with_one_volume_names_it(files: Files, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^data, new: validation = \[30, 40\] in 20 sections"):
        two_volumes(tmp_path, files, None, validation=[30, 40])
    files.raw, files.mask = files.raw[:, :8, :8], files.mask[:, :8, :8]
    with pytest.raises(InputError, match=r"shorter side of the sections of new \(8 x 8\)"):
        two_volumes(tmp_path, files, None)
    files.mask[:] = 0
    with pytest.raises(InputError, match=r"^data, new: mask .* is empty"):
        two_volumes(tmp_path, files, None)
