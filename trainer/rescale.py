"""A volume at the voxel size of another one."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from trainer.split import Split
from trainer.volume import Volume
from trainer.voxel_size import VoxelSize
from trainer.voxel_size import is_alike as is_alike

_HALF = 0.5 - 1e-4  # within what float32 makes of sums


def rescale_volume(volume: Volume, voxel_size_nm: VoxelSize) -> Volume:
    """Resamples image and mask to other voxels; both keep their place to the voxel.

    Grey values are averaged in the plane where voxels become larger, and interpolated elsewhere
    and along z; foreground is what is at least half covered by it.

    Args:
        volume: Of a known voxel size.
        voxel_size_nm: Edges of the new voxels, z, y, x.
    """
    if volume.voxel_size_nm is None:
        raise ValueError("voxels of unknown size cannot be resampled")
    factors = [a / b for a, b in zip(volume.voxel_size_nm, voxel_size_nm, strict=True)]
    before = volume.raw.shape
    shape = tuple(
        max(1, round(length * factor)) for length, factor in zip(before, factors, strict=True)
    )
    note = (
        f"resampled from {_shown(before)} voxels of {_nm(volume.voxel_size_nm)} to "
        f"{_shown(shape)} of {_nm(voxel_size_nm)}, which are the first volume's"
    )
    return replace(
        volume,
        raw=_interpolated(volume.raw, shape),
        # Nearest neighbours would move the mask by up to half a voxel against the image.
        mask=(_interpolated(volume.mask.astype(np.float32), shape) >= _HALF).astype(np.uint8),
        voxel_size_nm=voxel_size_nm,
        notes=(*volume.notes, note),
    )


def rescale_split(split: Split, before: int, after: int) -> Split:
    """The same blocks after a volume of `before` sections was resampled to `after`."""
    factor = after / before

    def moved(block: range) -> range:
        start = min(round(block.start * factor), after - 1)
        return range(start, max(start + 1, round(block.stop * factor)))

    return Split(
        train=moved(split.train),
        validation=moved(split.validation),
        holdout=split.holdout and moved(split.holdout),
        gap=round(split.gap * factor),
        all=moved(split.all),
    )


def _interpolated(raw: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Grey values (z, y, x) in another shape of the same extent and type."""
    plane = np.stack([_resized(section, *shape[1:]) for section in raw])
    if shape[0] == len(plane):
        return plane
    places = np.clip(_places(len(plane), shape[0]), 0, len(plane) - 1)
    resampled = np.empty(shape, raw.dtype)
    for section, place in enumerate(places):
        below = int(place)
        above, share = min(below + 1, len(plane) - 1), np.float32(place - below)
        mixed = (1 - share) * plane[below].astype(np.float32) + share * plane[above]
        resampled[section] = mixed if raw.dtype == np.float32 else np.rint(mixed)
    return resampled


def _resized(section: np.ndarray, height: int, width: int) -> np.ndarray:
    """One axis after the other: each may grow while the other one shrinks."""
    for size in ((section.shape[1], height), (width, height)):
        shrinks = size[0] < section.shape[1] or size[1] < section.shape[0]
        way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        section = cv2.resize(section, size, interpolation=way)
    return section


def _places(length: int, new: int) -> np.ndarray:
    """Where the centres of the new voxels lie, counted in old ones."""
    places: np.ndarray = (np.arange(new) + 0.5) * (length / new) - 0.5
    return places


def _nm(size: VoxelSize) -> str:
    return " x ".join(f"{side:g}" for side in size) + " nm"


def _shown(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
