"""OME-Zarr 0.5 images and labels with their smaller versions, written section by section."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from trainer.sections import Stream
from trainer.voxel_size import VoxelSize

LABELS = Path("labels") / "instances"
_OURS = "unet_search"
_VERSION = "0.5"
_AXES = "zyx"
_CHUNK = (32, 256, 256)
_SLAB_BYTES = 128_000_000
# A level that is no larger than this in the plane needs no smaller version.
_SMALLEST = 256


def is_ours(folder: Path) -> bool:
    """Whether `write_image` wrote the folder."""
    try:
        found = json.loads((folder / "zarr.json").read_text())
        return _OURS in found["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def list_other_labels(folder: Path) -> list[str]:
    """Names of the labels in an OME-Zarr that `write_labels` has not written."""
    own = Path(LABELS)
    beside = folder / own.parent
    return sorted(path.name for path in beside.glob("*") if path.is_dir() and path.name != own.name)


def write_image(
    folder: Path, stream: Stream, voxel_size_nm: VoxelSize | None, about: Mapping[str, Any]
) -> None:
    """Writes an image of probabilities.

    Args:
        folder: Is made.
        stream: Of uint8 with 255 for 1, or of float32.
        voxel_size_nm: Edges of a voxel, z, y, x, or None.
        about: Kept beside the metadata of OME-Zarr.
    """
    image, most = zarr.create_group(folder, zarr_format=3), _most(stream.dtype)
    levels = _write_levels(image, stream, _mean)
    image.attrs[_OURS] = dict(about)
    image.attrs["ome"] = {
        "version": _VERSION,
        "multiscales": [_multiscale("probability", levels, voxel_size_nm, "mean")],
        "omero": {
            "channels": [
                {
                    "label": "probability",
                    "color": "FFFFFF",
                    "active": True,
                    "window": {"min": 0, "max": most, "start": 0, "end": most},
                }
            ]
        },
    }


def write_labels(folder: Path, stream: Stream, voxel_size_nm: VoxelSize | None) -> None:
    """Writes labels into an image that `write_image` wrote."""
    labels = zarr.open_group(folder, mode="r+").create_group(str(LABELS.parent))
    image = labels.create_group(LABELS.name)
    levels = _write_levels(image, stream, _first)
    image.attrs["ome"] = {
        "version": _VERSION,
        "multiscales": [_multiscale(LABELS.name, levels, voxel_size_nm, "nearest")],
        "image-label": {"source": {"image": "../../"}},
    }
    labels.attrs["ome"] = {"version": _VERSION, "labels": [LABELS.name]}


def _write_levels(
    group: zarr.Group, stream: Stream, shrink: Callable[[np.ndarray], np.ndarray]
) -> list[tuple[int, ...]]:
    """Every level has half the sides of the one before; their shapes come back."""
    array = _create(group, 0, stream.shape, stream.dtype)
    _fill(array, stream.sections)
    shapes: list[tuple[int, ...]] = [stream.shape]
    while max(shapes[-1][1:]) > _SMALLEST:
        smaller = tuple(-(-side // 2) for side in shapes[-1])
        below = _create(group, len(shapes), smaller, stream.dtype)
        _fill(below, _shrunk(array, shrink))
        array = below
        shapes.append(smaller)
    return shapes


def _create(
    group: zarr.Group, level: int, shape: Sequence[int], dtype: np.dtype[Any]
) -> zarr.Array[Any]:
    most = max(1, _SLAB_BYTES // (shape[1] * shape[2] * dtype.itemsize))
    chunks = tuple(
        min(a, b) for a, b in zip((min(_CHUNK[0], most), *_CHUNK[1:]), shape, strict=True)
    )
    return group.create_array(
        str(level),
        shape=tuple(shape),
        dtype=dtype,
        chunks=chunks,
        compressors=BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"),
        dimension_names=list(_AXES),
    )


def _fill(array: zarr.Array[Any], sections: Iterable[np.ndarray]) -> None:
    """Writes whole chunks."""
    arriving, first = iter(sections), 0
    while some := list(islice(arriving, array.chunks[0])):
        array[first : first + len(some)] = np.stack(some)
        first += len(some)


def _shrunk(
    array: zarr.Array[Any], shrink: Callable[[np.ndarray], np.ndarray]
) -> Iterator[np.ndarray]:
    thick = max(2, array.chunks[0] // 2 * 2)
    for first in range(0, array.shape[0], thick):
        slab = np.asarray(array[first : first + thick])
        odd = [(0, side % 2) for side in slab.shape]
        yield from shrink(np.pad(slab, odd, mode="edge"))


def _most(dtype: np.dtype[Any]) -> int:
    """What a probability of 1 is written as."""
    return 1 if dtype.kind == "f" else 255


def _mean(slab: np.ndarray) -> np.ndarray:
    z, y, x = slab.shape
    pairs = slab.reshape(z // 2, 2, y // 2, 2, x // 2, 2)
    mean: np.ndarray = pairs.mean(axis=(1, 3, 5), dtype=np.float32)
    return mean if slab.dtype.kind == "f" else np.rint(mean).astype(slab.dtype)


def _first(slab: np.ndarray) -> np.ndarray:
    return slab[::2, ::2, ::2]


def _multiscale(
    name: str, shapes: Sequence[Sequence[int]], voxel_size_nm: VoxelSize | None, how: str
) -> dict[str, Any]:
    unit = {"unit": "nanometer"} if voxel_size_nm else {}
    size = voxel_size_nm or (1.0, 1.0, 1.0)
    return {
        "name": name,
        "type": how,
        "axes": [{"name": axis, "type": "space", **unit} for axis in _AXES],
        "datasets": [
            {
                "path": str(level),
                "coordinateTransformations": _placed([edge * 2.0**level for edge in size], size),
            }
            for level in range(len(shapes))
        ],
    }


def _placed(scale: Sequence[float], size: Sequence[float]) -> list[dict[str, Any]]:
    """The voxel's edges, and where the middle of the first one lies."""
    shift = [(large - small) / 2 for large, small in zip(scale, size, strict=True)]
    steps: list[dict[str, Any]] = [{"type": "scale", "scale": list(scale)}]
    return steps + ([{"type": "translation", "translation": shift}] if any(shift) else [])
