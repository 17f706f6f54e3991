from __future__ import annotations

from pathlib import Path

import imageio.v3 as imageio
import numpy as np

from trainer.overlay import (
    draw_overlay,
    draw_overlays,
    encode_jpeg,
    encode_png,
    overlay_legend,
)
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


def assert_colours(picture: np.ndarray) -> None:
    red, green, blue = picture[MISSED].astype(int)
    assert blue > max(red, green) + 60
    red, green, blue = picture[FALSE].astype(int)
    assert red > max(green, blue) + 60
    for right in (FOUND, NOTHING):
        assert np.ptp(picture[right].astype(int)) == 0


def assert_colours_roughly(picture: np.ndarray) -> None:
    for at, strong in ((MISSED, 2), (FALSE, 0)):
        assert int(np.argmax(picture[at])) == strong
    assert np.ptp(picture[NOTHING].astype(int)) < 12


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


def test_the_sections_asked_for_are_drawn_in_their_colours(tmp_path: Path) -> None:
    truth, predicted = section()
    raw = np.full(SHAPE, 1000, np.uint16)
    mask, prediction = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    mask[4], prediction[4] = truth, predicted
    pictures = draw_overlays(Volume(raw, mask, None), prediction, [4, 1])
    assert list(pictures) == [4, 1]
    assert_colours(pictures[4])
    (tmp_path / "a.png").write_bytes(encode_png(pictures[4]))
    assert np.array_equal(imageio.imread(tmp_path / "a.png"), pictures[4])
    (tmp_path / "a.jpg").write_bytes(encode_jpeg(pictures[4]))
    assert_colours_roughly(imageio.imread(tmp_path / "a.jpg"))


def test_the_legend_names_the_colours_that_are_drawn() -> None:
    assert dict(overlay_legend())["missed"] == "rgb(60, 110, 255)"
    assert len(overlay_legend()) == 4
