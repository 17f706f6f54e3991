from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import imageio.v3 as imageio
import numpy as np
import pytest
import zarr

from trainer.fingerprint import fingerprint
from trainer.formats import open_source
from trainer.stack import write_stack

PIXELS = np.arange(7 * 4 * 5, dtype=np.uint8).reshape(7, 4, 5)
CHANGED = np.where(np.arange(7)[:, None, None] == 2, 9, PIXELS).astype(np.uint8)


def write_tiff(folder: Path, pixels: np.ndarray) -> Path:
    write_stack(folder / "a.tif", pixels, None)
    return folder / "a.tif"


def write_pngs(folder: Path, pixels: np.ndarray) -> Path:
    (folder / "pngs").mkdir(exist_ok=True)
    for number, section in enumerate(pixels):
        imageio.imwrite(folder / "pngs" / f"s{number}.png", section)
    return folder / "pngs"


def write_hdf5(folder: Path, pixels: np.ndarray) -> Path:
    with h5py.File(folder / "a.h5", "w") as file:
        file["raw"] = pixels
        file["more"] = pixels
    return Path(f"{folder / 'a.h5'}:/raw")


def write_zarr(folder: Path, pixels: np.ndarray) -> Path:
    array = zarr.open_array(
        str(folder / "a.zarr"), mode="a", shape=pixels.shape, chunks=(1, 4, 5), dtype=pixels.dtype
    )
    array[:] = pixels
    return folder / "a.zarr"


def taken(path: Path) -> object:
    with open_source(path, role="volume") as source:
        return fingerprint(path, source)


@pytest.fixture(params=[write_tiff, write_pngs, write_hdf5, write_zarr])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[np.ndarray], Path]:
    return lambda pixels: request.param(tmp_path, pixels)


def test_a_volume_that_stays_as_it_is_keeps_it(write: Callable[[np.ndarray], Path]) -> None:
    path = write(PIXELS)
    assert taken(path) == taken(path)


def test_a_section_that_is_written_again_changes_it(write: Callable[[np.ndarray], Path]) -> None:
    path = write(PIXELS)
    before = taken(path)
    write(CHANGED)
    assert taken(path) != before


@pytest.mark.parametrize("section", [0, 3, 6])
def test_values_tell_where_times_and_lengths_do_not(tmp_path: Path, section: int) -> None:
    path = write_hdf5(tmp_path, PIXELS)
    file, before = tmp_path / "a.h5", taken(path)
    stat = file.stat()
    with h5py.File(file, "r+") as stored:
        stored["raw"][section, 0, 0] = 255
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = taken(path)
    assert file.stat().st_mtime_ns == stat.st_mtime_ns
    assert after != before
