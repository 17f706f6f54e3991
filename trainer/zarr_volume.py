"""A stack of sections in an OME-Zarr image, or in a plain zarr array."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import zarr

from trainer.chunked import ChunkedReader, stack_axes
from trainer.errors import InputError
from trainer.shape import shown
from trainer.voxel_size import VoxelSize, length_nm

_NODES = ("zarr.json", ".zarray", ".zgroup")
# Decoders that do nothing but decode: numcodecs also has one that unpickles, which runs code.
_CODECS = {
    *("bytes", "blosc", "gzip", "zstd", "crc32c", "transpose", "sharding_indexed"),
    *("zlib", "lz4", "bz2", "lzma", "shuffle", "delta", "bitround", "fixedscaleoffset"),
    *("quantize", "packbits", "astype", "crc32", "adler32", "pcodec", "zfpy", "fletcher32"),
}


def is_zarr(folder: Path) -> bool:
    """Whether the folder is a zarr array or group, or is named like one."""
    return folder.suffix == ".zarr" or any((folder / name).is_file() for name in _NODES)


class ZarrReader(ChunkedReader):
    """Sections of the largest resolution of an image.

    Read are OME-Zarr 0.1 to 0.5 (zarr 2 and 3), and a plain zarr array.
    """

    def __init__(self, folder: Path) -> None:
        """Opens it.

        Raises:
            InputError: It is no stack of sections, without its name.
        """
        found, image = _find_array(folder)
        version = _version(found)
        _check_codecs(found, version)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = zarr.open_array(str(found), mode="r", zarr_format=version)
        axes = _axes(image, array.shape)
        super().__init__(array, axes, _voxel_size(image, axes))


def _find_array(folder: Path) -> tuple[Path, Mapping[str, Any]]:
    """The folder of an array, and the description of the image that it belongs to."""
    if _is_array(folder):
        return folder, {}
    # A folder of bioformats2raw holds images that are named by their number.
    for image in (folder, folder / "0"):
        described = _multiscales(image)
        if described:
            path = described["datasets"][0]["path"]
            found = (image / path).resolve()
            if not found.is_relative_to(folder.resolve()) or not _is_array(found):
                raise InputError(f"says that its image is in {path!r}, where no zarr array is")
            return found, described
    arrays = sorted(each for each in folder.iterdir() if each.is_dir() and _is_array(each))
    if len(arrays) != 1:
        raise InputError(_why_not(folder, arrays))
    return arrays[0], {}


def _why_not(folder: Path, arrays: Sequence[Path]) -> str:
    if arrays:
        names = ", ".join(each.name for each in arrays[:8])
        return f"holds several arrays ({names}); name one of them, as in {folder / arrays[0].name}"
    if not any((folder / name).is_file() for name in _NODES):
        return "is no zarr: it has no zarr.json, .zgroup or .zarray; name an OME-Zarr image"
    return "is a zarr group without an image; name an OME-Zarr image or a zarr array"


def _is_array(folder: Path) -> bool:
    return _version(folder) is not None


def _version(folder: Path) -> Literal[2, 3] | None:
    """The version of zarr that an array is of, the newer one of two, or None for no array."""
    if _json(folder / "zarr.json").get("node_type") == "array":
        return 3
    return 2 if (folder / ".zarray").is_file() else None


def _multiscales(folder: Path) -> dict[str, Any] | None:
    """What OME-Zarr says of its first image: in `ome` from version 0.5 on."""
    new = _json(folder / "zarr.json").get("attributes", {})
    for attributes in (new.get("ome", {}), new, _json(folder / ".zattrs")):
        if "multiscales" in attributes:
            described: dict[str, Any] = attributes["multiscales"][0]
            return described
    return None


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise InputError(f"holds a {path.name} that describes nothing; export it again")
    return found


def _check_codecs(array: Path, version: int | None) -> None:
    file, key = ("zarr.json", "name") if version == 3 else (".zarray", "id")
    unknown = [name for name in _codecs(_json(array / file), key) if name not in _CODECS]
    if unknown:
        raise InputError(
            f"is packed with {unknown[0]!r}, which is not read here; "
            "save it with blosc, zstd, gzip or without compression"
        )


def _codecs(described: Any, key: str) -> Iterator[str]:
    """Names of all decoders, nested ones too; zarr 3 puts numcodecs's behind a prefix."""
    if isinstance(described, Mapping):
        for place in ("codecs", "index_codecs", "filters", "compressor"):
            entries = described.get(place)
            for each in entries if isinstance(entries, list) else [entries]:
                if isinstance(each, str):
                    yield each.removeprefix("numcodecs.")
                elif isinstance(each, Mapping):
                    yield str(each.get(key)).removeprefix("numcodecs.")
                    yield from _codecs(each.get("configuration"), key)


def _axes(image: Mapping[str, Any], shape: Sequence[int]) -> list[str]:
    named = image.get("axes")
    if named is None:
        # Version 0.1 and 0.2 have five axes and do not name them.
        return list("tczyx") if image and len(shape) == 5 else stack_axes(shape)
    names = [str(axis["name"] if isinstance(axis, Mapping) else axis).lower() for axis in named]
    if len(names) != len(shape):
        raise InputError(f"names the axes {', '.join(names)} of an array of {shown(shape)}")
    return names


def _voxel_size(image: Mapping[str, Any], axes: Sequence[str]) -> VoxelSize | None:
    """The scale of the first resolution, times that of the image, in the units of the axes."""
    steps = [image.get("coordinateTransformations"), *_first_transformations(image)]
    scale = [1.0] * len(axes)
    scales = [each["scale"] for step in steps for each in step or () if each.get("type") == "scale"]
    for factors in scales:
        scale = [before * float(factor) for before, factor in zip(scale, factors, strict=True)]
    units = (
        [axis.get("unit") if isinstance(axis, Mapping) else None for axis in image["axes"]]
        if (image.get("axes") and scales)
        else [None] * len(axes)
    )
    lengths = {a: length_nm(n, u) for a, n, u in zip(axes, scale, units, strict=True)}
    z, y, x = (lengths.get(axis) for axis in "zyx")
    return None if z is None or y is None or x is None else (z, y, x)


def _first_transformations(image: Mapping[str, Any]) -> Iterator[Any]:
    for data in image.get("datasets", [])[:1]:
        yield data.get("coordinateTransformations")
