"""A volume written as a TIFF, section by section, for Fiji and for what reads OME-TIFF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from trainer.sections import Stream
from trainer.voxel_size import VoxelSize

_UM_PER_NM = 1e-3
# A classic TIFF counts to 4 GB; half of it leaves room for what does not compress.
_CLASSIC_TIFF_BYTES = 2**31


def write_tiff(path: Path, stream: Stream, voxel_size_nm: VoxelSize | None) -> None:
    """Writes sections as they come, compressed, with the size of a voxel.

    A small TIFF of a type that ImageJ knows is ImageJ's own; others, and those that end in
    .ome.tif, carry OME-XML.
    """
    nbytes = int(np.prod(stream.shape, dtype=object)) * stream.dtype.itemsize
    large = nbytes > _CLASSIC_TIFF_BYTES
    imagej = (
        not large
        and stream.dtype in (np.uint8, np.uint16)
        and not path.stem.lower().endswith(".ome")
        # A single column is taken for channels.
        and stream.shape[2] > 1
    )
    with tifffile.TiffWriter(path, imagej=imagej, ome=not imagej, bigtiff=large) as writer:
        writer.write(
            stream.sections,
            shape=stream.shape,
            dtype=stream.dtype,
            photometric="minisblack",
            compression="zlib",
            compressionargs={"level": 1},
            predictor=False,
            metadata=_metadata(voxel_size_nm, imagej),
            **_resolution(voxel_size_nm, imagej),
        )


def _metadata(voxel_size_nm: VoxelSize | None, imagej: bool) -> dict[str, Any]:
    if voxel_size_nm is None:
        return {"axes": "ZYX"}
    if imagej:
        # Fiji shows and measures in micrometers, and takes the plane's from the resolution tags.
        return {"axes": "ZYX", "spacing": voxel_size_nm[0] * _UM_PER_NM, "unit": "um"}
    sizes = dict(zip("ZYX", voxel_size_nm, strict=True))
    return {
        "axes": "ZYX",
        **{f"PhysicalSize{axis}": size * _UM_PER_NM for axis, size in sizes.items()},
        **{f"PhysicalSize{axis}Unit": "µm" for axis in sizes},
    }


def _resolution(voxel_size_nm: VoxelSize | None, imagej: bool) -> dict[str, Any]:
    if voxel_size_nm is None:
        return {}
    _, y, x = voxel_size_nm
    if imagej:
        return {"resolution": (1 / (x * _UM_PER_NM), 1 / (y * _UM_PER_NM))}
    return {"resolution": (1e7 / x, 1e7 / y), "resolutionunit": "CENTIMETER"}
