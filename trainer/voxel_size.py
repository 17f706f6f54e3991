"""The size of a voxel, as far as a file says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias
from xml.etree import ElementTree

import tifffile

VoxelSize: TypeAlias = tuple[float, float, float]
"""Edges of a voxel in nm, in the order z, y, x."""

SHORTEST_NM, LONGEST_NM = 1e-3, 1e8
"""No microscope has other voxels: a hundredth of an atom, and ten centimetres."""
_ALIKE = 0.05
"""Of the voxel's edge: a difference that no network minds."""

# Nanometres in one unit. Inch is missing on purpose: programs write pixels per inch by default.
_UNITS = {
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 1.0),
    **dict.fromkeys(("um", "micron", "microns", "micrometer", "micrometers", "micrometre"), 1e3),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre"), 1e6),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre"), 1e7),
    **dict.fromkeys(("m", "meter", "metre"), 1e9),
    **dict.fromkeys(("a", "å", "angstrom"), 0.1),
}
# The micro sign, the Greek letter, and the micro sign as ImageJ writes it in plain ASCII.
_MICRO = ("µ", "μ", "\\u00b5")
# How a resolution tag counts; the last two are tifffile's.
_NO_UNIT, _INCH, _CENTIMETER, _MILLIMETER, _MICROMETER = 1, 2, 3, 4, 5


def is_alike(size: Sequence[float], other: Sequence[float]) -> bool:
    """Whether edges are within 5 % of others, each along its axis."""
    return all(abs(a - b) <= _ALIKE * b for a, b in zip(size, other, strict=True))


def trained_voxel_size(card: Mapping[str, Any]) -> VoxelSize | None:
    """Edges of the voxels that a model was trained on, z, y, x in nm, where its card says them."""
    size = (card.get("data") or {}).get("voxel_size_nm")
    return _three(size, lambda value: length_nm(value, "nm"))


def read_voxel_size(tiff: tifffile.TiffFile) -> VoxelSize | None:
    """Return the voxel size in nm, z, y, x, or None where the file does not say all three."""
    for reader in (_from_ome, _from_imagej, _from_json):
        size = reader(tiff)
        if size is not None:
            return size
    return None


def _from_ome(tiff: tifffile.TiffFile) -> VoxelSize | None:
    if tiff.ome_metadata is None:
        return None
    try:
        elements = ElementTree.fromstring(tiff.ome_metadata).iter()
    except ElementTree.ParseError:
        return None
    pixels = next((e for e in elements if e.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return None
    keys = [f"PhysicalSize{axis}" for axis in "ZYX"]
    return _complete([length_nm(pixels.get(key), pixels.get(f"{key}Unit", "um")) for key in keys])


def _from_imagej(tiff: tifffile.TiffFile) -> VoxelSize | None:
    if not tiff.imagej_metadata:
        return None
    spacing, unit = (tiff.imagej_metadata.get(key) for key in ("spacing", "unit"))
    if unit is None and _resolution_unit(tiff) == _CENTIMETER:
        unit = "cm"
    return _complete([length_nm(spacing, unit), *_in_plane(tiff, unit)])


def _from_json(tiff: tifffile.TiffFile) -> VoxelSize | None:
    described: Mapping[str, Any] = (tiff.shaped_metadata or ({},))[0]
    if "spacing_nm" in described:
        return _three(described["spacing_nm"], lambda value: length_nm(value, "nm"))
    spacing, unit = described.get("spacing"), described.get("unit")
    if isinstance(spacing, list):
        return _three(spacing, lambda value: length_nm(value, unit))
    return _beside_spacing(tiff, length_nm(spacing, unit), unit)


def _beside_spacing(tiff: tifffile.TiffFile, depth: float | None, unit: object) -> VoxelSize | None:
    """Of a file with one spacing, which counts for all axes where the tags say nothing."""
    counted_in = _resolution_unit(tiff)
    in_plane = _in_plane(tiff, unit, inch=unit)
    if in_plane == [None, None] and counted_in in (_NO_UNIT, _INCH):
        return _complete([depth, depth, depth])
    size = _complete([depth, *in_plane])
    # Inches are what tifffile writes beside numbers without a unit. Whether these are pixels per
    # unit of the spacing or nothing that anybody chose, only a spacing that agrees can tell.
    if size and counted_in == _INCH and not is_alike(size, 3 * size[:1]):
        return None
    return size


def _three(values: object, length: Callable[[object], float | None]) -> VoxelSize | None:
    if not isinstance(values, list | tuple):
        return None
    return _complete([length(value) for value in values])


def _complete(lengths: list[float | None]) -> VoxelSize | None:
    known = [length for length in lengths if length is not None]
    return (known[0], known[1], known[2]) if len(known) == len(lengths) == 3 else None


def _in_plane(tiff: tifffile.TiffFile, unit: object, *, inch: object = None) -> list[float | None]:
    units = {
        _NO_UNIT: unit,
        _INCH: inch,
        _CENTIMETER: "cm",
        _MILLIMETER: "mm",
        _MICROMETER: "um",
    }
    counted_in = units.get(_resolution_unit(tiff))
    return [_pixel(tiff, f"{axis}Resolution", counted_in) for axis in "YX"]


def _pixel(tiff: tifffile.TiffFile, tag: str, unit: object) -> float | None:
    pixels, units = _tag(tiff, tag, (1, 1))
    # One pixel per unit is what a writer puts there when it was told nothing.
    if (pixels, units) == (1, 1) or not pixels:
        return None
    # Rounded because a ratio of two integers comes a little beside the length that was meant.
    length = length_nm(units / pixels, unit)
    return None if length is None else float(f"{length:.6g}")


def _resolution_unit(tiff: tifffile.TiffFile) -> int:
    return int(_tag(tiff, "ResolutionUnit", _NO_UNIT))


def _tag(tiff: tifffile.TiffFile, name: str, default: Any) -> Any:
    return tiff.pages.first.tags.valueof(name, default=default)


def is_length(nm: float) -> bool:
    """Whether a voxel's edge can be so long."""
    return SHORTEST_NM <= nm <= LONGEST_NM


def length_nm(value: object, unit: object) -> float | None:
    """A length in nm, or None unless it is a number of a known unit that an edge can have."""
    name = str(unit).strip().lower()
    for micro in _MICRO:
        name = name.replace(micro, "u")
    try:
        length = float(str(value)) * _UNITS[name]
    except (ValueError, KeyError):
        return None
    # 0.005 um times 1000 is not quite 5 nm.
    return round(length, 9) if is_length(length) else None
