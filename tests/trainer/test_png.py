"""Stacks that are folders of PNG sections."""

from __future__ import annotations

import struct
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from small_stack import PIXELS, refusal

from trainer.stack import read_stack


def write_png(folder: Path, name: str, section: np.ndarray) -> None:
    folder.mkdir(exist_ok=True)
    imageio.imwrite(folder / name, section)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_sections_are_read_in_natural_order(tmp_path: Path, dtype: type) -> None:
    folder = tmp_path / "sections"
    for number in (9, 10, 8, 100):
        write_png(folder, f"s{number}.png", PIXELS[0].astype(dtype) + number)
    (folder / "notes.txt").write_text("not a section")
    (folder / "._s8.png").write_text("left by a copy")
    stack = read_stack(folder, role="raw")
    assert stack.array.dtype == dtype
    assert (stack.array[:, 0, 0] - stack.array[0, 0, 0]).tolist() == [0, 1, 2, 92]
    assert stack.voxel_size_nm is None


def test_png_sections_of_one_bit_are_a_mask(tmp_path: Path) -> None:
    for number in range(3):
        write_png(tmp_path / "m", f"{number}.png", PIXELS[number] > 99)
    assert np.array_equal(read_stack(tmp_path / "m", role="mask").array, PIXELS[:3] > 99)


def test_a_folder_without_sections_is_refused(tmp_path: Path) -> None:
    assert "a folder without PNG files" in refusal(tmp_path)


def test_a_folder_with_one_section_is_refused(tmp_path: Path) -> None:
    write_png(tmp_path, "1.png", PIXELS[0])
    assert "one section (20 x 24) where a stack is needed" in refusal(tmp_path)


def test_png_sections_of_different_sizes_are_refused(tmp_path: Path) -> None:
    write_png(tmp_path, "1.png", PIXELS[0])
    write_png(tmp_path, "2.png", PIXELS[0, :10])
    assert "1.png is 20 x 24 of 8 bits and 2.png is 10 x 24 of 8 bits" in refusal(tmp_path)


def test_png_sections_of_different_depth_are_refused(tmp_path: Path) -> None:
    write_png(tmp_path, "1.png", PIXELS[0])
    write_png(tmp_path, "2.png", PIXELS[0].astype(np.uint16))
    assert "2.png is 20 x 24 of 16 bits" in refusal(tmp_path)


def test_colour_png_sections_are_refused(tmp_path: Path) -> None:
    for number in range(2):
        write_png(tmp_path, f"{number}.png", np.zeros((8, 8, 3), np.uint8))
    assert "0.png is a colour image" in refusal(tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 30, 200])
def test_a_damaged_png_section_is_refused(tmp_path: Path, keep: int) -> None:
    for number in range(2):
        write_png(tmp_path, f"{number}.png", PIXELS[number])
    damaged = tmp_path / "1.png"
    damaged.write_bytes(damaged.read_bytes()[:keep])
    assert "1.png is" in refusal(tmp_path) or "truncated" in refusal(tmp_path)


def test_a_png_header_that_claims_gigabytes_is_refused(tmp_path: Path) -> None:
    for number in range(2):
        write_png(tmp_path, f"{number}.png", PIXELS[number])
        content = bytearray((tmp_path / f"{number}.png").read_bytes())
        content[16:24] = struct.pack(">II", 100_000, 100_000)
        (tmp_path / f"{number}.png").write_bytes(content)
    assert "claims" in refusal(tmp_path)
