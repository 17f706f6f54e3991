from __future__ import annotations

import json
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from trainer import overlay as module
from trainer.errors import InputError
from trainer.overlay import draw_overlay, write_overlays
from trainer.volume import Volume

SHAPE = (6, 40, 50)
FOUND, MISSED, FALSE, NOTHING = (20, 8), (20, 22), (20, 38), (5, 5)
"""Middles of what the section below shows, (y, x)."""


def square(at: tuple[int, int]) -> tuple[slice, slice]:
    return slice(at[0] - 5, at[0] + 5), slice(at[1] - 5, at[1] + 5)


def section() -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction: one object found, one missed, one that is not there."""
    truth, prediction = np.zeros(SHAPE[1:], np.uint8), np.zeros(SHAPE[1:], np.uint8)
    truth[square(FOUND)] = truth[square(MISSED)] = 1
    prediction[square(FOUND)] = prediction[square(FALSE)] = 1
    return truth, prediction


def volume(wrong: list[int]) -> tuple[Volume, np.ndarray]:
    """A volume whose prediction has so many voxels wrong in each section."""
    mask, prediction = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    for number, count in enumerate(wrong):
        prediction[number].flat[:count] = 1
    raw = np.random.default_rng(0).integers(0, 65536, SHAPE).astype(np.uint16)
    return Volume(raw, mask, None), prediction


def assert_colours(picture: np.ndarray) -> None:
    red, green, blue = picture[MISSED].astype(int)
    assert blue > max(red, green) + 60
    red, green, blue = picture[FALSE].astype(int)
    assert red > max(green, blue) + 60
    for right in (FOUND, NOTHING):
        assert np.ptp(picture[right].astype(int)) == 0


def test_missed_voxels_are_blue_and_false_ones_red() -> None:
    picture = draw_overlay(np.full(SHAPE[1:], 120, np.uint8), *section())
    assert (picture.shape, picture.dtype) == ((40, 50, 3), np.uint8)
    assert_colours(picture)


def test_the_truth_is_outlined_in_white_and_what_is_right_stays_gray() -> None:
    gray = np.random.default_rng(0).integers(0, 200, SHAPE[1:]).astype(np.uint8)
    truth, prediction = section()
    picture = draw_overlay(gray, truth, prediction)
    white = (picture == 255).all(axis=-1)
    inner = np.zeros_like(truth)
    for at in (FOUND, MISSED):
        y, x = square(at)
        inner[y.start + 1 : y.stop - 1, x.start + 1 : x.stop - 1] = 1
    assert np.array_equal(white, (truth == 1) & (inner == 0))
    right = (truth == prediction) & ~white
    assert (picture[right] == gray[right][:, np.newaxis]).all()


def test_the_tissue_shows_through_the_colour() -> None:
    gray = np.full(SHAPE[1:], 50, np.uint8)
    gray[:, ::2] = 200
    picture = draw_overlay(gray, *section()).astype(int)
    for y, x in (MISSED, FALSE):
        assert np.abs(picture[y, x] - picture[y, x + 1]).min() > 40


def test_the_file_has_the_colours_in_their_places(tmp_path: Path) -> None:
    whole, prediction = volume([0] * 6)
    truth, predicted = section()
    whole.raw[:] = 1000
    whole.mask[4], prediction[4] = truth, predicted
    write_overlays(tmp_path, whole, prediction, {})
    assert_colours(imageio.imread(tmp_path / "section-0004.png"))


def test_the_worst_sections_are_shown_and_the_scores_kept(tmp_path: Path) -> None:
    whole, prediction = volume([5, 900, 30, 0, 70, 20])
    scores = {"dice": 0.5, "instances_2d": {"found": 1}}
    write_overlays(tmp_path / "new" / "out", whole, prediction, scores)
    written = sorted(path.name for path in (tmp_path / "new" / "out").iterdir())
    pictures = [f"section-{number:04d}.png" for number in (1, 2, 4, 5)]
    assert written == ["evaluation.json", *pictures]
    assert json.loads((tmp_path / "new" / "out" / "evaluation.json").read_text()) == scores


def test_a_volume_of_fewer_sections_is_shown_whole(tmp_path: Path) -> None:
    whole, prediction = volume([5, 900])
    short = Volume(whole.raw[:2], whole.mask[:2], None)
    write_overlays(tmp_path, short, prediction[:2], {})
    assert len(list(tmp_path.glob("section-*.png"))) == 2


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"^--out: expected a folder that can be written, got "):
        write_overlays(tmp_path / "file", *volume([1] * 6), {})


def test_a_full_disk_leaves_no_half_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.Path, "write_bytes", half)
    with pytest.raises(InputError, match="No space left on device"):
        write_overlays(tmp_path, *volume([1] * 6), {})
    assert list(tmp_path.iterdir()) == []
