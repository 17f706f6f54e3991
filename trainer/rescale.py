"""A volume at the voxel size of another one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from trainer.errors import InputError
from trainer.resample import MOST_APART, Resampled
from trainer.shape import shown
from trainer.split import Split
from trainer.volume import Volume
from trainer.voxel_size import VoxelSize

_HALF = 0.5 - 1e-4  # within what float32 makes of sums


def rescale_volume(volume: Volume, voxel_size_nm: VoxelSize) -> Volume:
    """Resamples image and mask to other voxels; both keep their place to the voxel.

    As in prediction, grey values are averaged along each axis where voxels become larger, and
    interpolated where they become smaller; foreground is what is at least half covered by it.

    Args:
        volume: Of a known voxel size.
        voxel_size_nm: Edges of the new voxels, z, y, x.

    Raises:
        InputError: The sizes are too far apart to be right.
    """
    if volume.voxel_size_nm is None:
        raise ValueError("voxels of unknown size cannot be resampled")
    factors = [a / b for a, b in zip(volume.voxel_size_nm, voxel_size_nm, strict=True)]
    if not all(1 / MOST_APART <= factor <= MOST_APART for factor in factors):
        raise InputError(
            f"voxel_size_nm: expected voxels up to {MOST_APART:g} times those of the first volume, "
            f"{_nm(voxel_size_nm)}, got {_nm(volume.voxel_size_nm)}; check it"
        )
    before = volume.raw.shape
    z, y, x = (
        max(1, round(length * factor)) for length, factor in zip(before, factors, strict=True)
    )
    shape = (z, y, x)
    note = (
        f"resampled from {shown(before)} voxels of {_nm(volume.voxel_size_nm)} to "
        f"{shown(shape)} of {_nm(voxel_size_nm)}, which are the first volume's"
    )
    return replace(
        volume,
        raw=_resampled(volume.raw, shape, volume.raw.dtype),
        # Nearest neighbours would move the mask by up to half a voxel against the image.
        mask=(_resampled(volume.mask, shape, np.float32) >= _HALF).astype(np.uint8),
        voxel_size_nm=voxel_size_nm,
        notes=(*volume.notes, note),
    )


def rescale_split(split: Split, before: int, after: int) -> Split:
    """The same blocks after a volume of `before` sections was resampled to `after`.

    A section that reaches beyond a block's border belongs to no block: with larger voxels it could
    be averaged from sections of two.

    Raises:
        InputError: A block is thinner than one of the new sections.
    """

    def moved(name: str, block: range) -> range:
        start, stop = -(-block.start * after // before), block.stop * after // before
        if start >= stop:
            raise InputError(
                f"split: expected a {name} block that holds a whole section of the first volume's "
                f"voxels, got [{block.start}, {block.stop}] of {before} sections that become "
                f"{after}; give it more sections"
            )
        return range(start, stop)

    def scaled(gap: int) -> int:
        return round(gap * after / before)

    return Split(
        train=moved("training", split.train),
        validation=moved("validation", split.validation),
        holdout=split.holdout and moved("holdout", split.holdout),
        gap=scaled(split.gap),
        all=moved("training", split.all),
        holdout_gap=None if split.holdout_gap is None else scaled(split.holdout_gap),
    )


def _resampled(raw: np.ndarray, shape: tuple[int, int, int], dtype: Any) -> np.ndarray:
    """Values (z, y, x) in another shape of the same extent, as a network is shown them."""
    resampled = np.empty(shape, dtype)
    sections = Resampled(raw, shape)
    for number in range(len(sections)):
        section = sections[number]
        resampled[number] = np.rint(section) if resampled.dtype.kind in "ui" else section
    return resampled


def _nm(size: VoxelSize) -> str:
    return " x ".join(f"{side:g}" for side in size) + " nm"
