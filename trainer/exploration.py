"""What there is to know about a volume before a network is trained on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trainer.contrast import Contrast, find_levels, level_of, measure_contrast
from trainer.data_checks import check_data
from trainer.decorrelation import Curve, measure_decorrelation
from trainer.exposure import Brightness, measure_brightness
from trainer.finding import Finding, Unchecked
from trainer.objects import Objects, empty_tile_share, measure_objects
from trainer.section_correlation import (
    Correlation,
    correlate_neighbours,
    correlate_with_first,
    thinned_profiles,
)
from trainer.split import measure_guard_gap
from trainer.voxel_size import VoxelSize

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_UNKNOWN_SIZE = (
    "the file does not say how large a voxel is, so there are no nm² and nm³: give "
    "--voxel-size-nm Z,Y,X, such as 5,5,5"
)


@dataclass(frozen=True, eq=False)
class Annotation:
    """What only a mask tells.

    Attributes:
        objects: Counted and measured.
        contrast: Grey values inside and outside.
        share: Of foreground in each section.
        tile_size: That the objects suggest.
        empty_tiles: The share of tiles of that size without foreground.
    """

    objects: Objects
    contrast: Contrast
    share: np.ndarray
    tile_size: int
    empty_tiles: float


@dataclass(frozen=True, eq=False)
class Exploration:
    """Everything measured on one volume.

    Attributes:
        raw: Grey values, (z, y, x).
        mask: 0 or 1, (z, y, x), or None.
        voxel_size_nm: Edges of a voxel, z, y, x, or None where nobody said.
        notes: Sentences on how the files were read and what could not be measured.
        annotation: What the mask tells, or None without one.
        grey_values: Levels and the number of voxels at each.
        brightness: Along z.
        neighbours: Correlation of each section with the next one.
        curves: Correlation against distance, unchanged first.
        from_first: The same for the first section alone.
        guard_gap: Sections to leave out between training and validation.
        findings: What is wrong with the data.
        unchecked: Checks that say nothing of it.
    """

    raw: np.ndarray
    mask: np.ndarray | None
    voxel_size_nm: VoxelSize | None
    notes: tuple[str, ...]
    annotation: Annotation | None
    grey_values: tuple[np.ndarray, np.ndarray]
    brightness: Brightness
    neighbours: np.ndarray
    curves: list[Curve]
    from_first: Correlation
    guard_gap: int
    findings: list[Finding]
    unchecked: list[Unchecked]

    def to_mapping(self) -> dict[str, Any]:
        """The numbers as JSON can hold them; what cannot be known is null."""
        return {
            "shape": list(self.raw.shape),
            "dtype": str(self.raw.dtype),
            "voxel_size_nm": self.voxel_size_nm and list(self.voxel_size_nm),
            "notes": list(self.notes),
            **_annotation_row(self.annotation, self.voxel_size_nm),
            "guard_gap_sections": self.guard_gap,
            "brightness": {
                "drift_in_deviations": self.brightness.drift,
                "largest_jump_in_deviations": float(np.abs(self.brightness.jumps).max()),
                "deviation": self.brightness.spread,
            },
            "correlation": {
                "from_first": _correlation_row(self.from_first),
                "curves": [
                    {"kind": curve.kind, "name": curve.name, "settings": curve.settings}
                    | _correlation_row(curve.correlation)
                    for curve in self.curves
                ],
            },
            "findings": [
                asdict(finding) | {"sections": list(finding.sections)} for finding in self.findings
            ],
            "not_checked": [asdict(each) for each in self.unchecked],
        }


def measure_volume(
    raw: np.ndarray,
    mask: np.ndarray | None,
    voxel_size_nm: VoxelSize | None,
    *,
    notes: tuple[str, ...] = (),
    announce: Callable[[str], None] = lambda _: None,
) -> Exploration:
    """Measures a volume.

    Args:
        raw: Grey values, (z, y, x).
        mask: 0 or 1, uint8, (z, y, x), or None where there is none.
        voxel_size_nm: Edges of a voxel, z, y, x, or None.
        notes: Sentences to pass on.
        announce: Is told what is being done.
    """
    annotation = None
    if mask is not None:
        announce("measuring the objects")
        annotation = _annotate(raw, mask)
    announce("correlating sections, plain and augmented")
    curves, profiles = measure_decorrelation(raw), thinned_profiles(raw)
    announce("checking the data")
    findings, unchecked = check_data(raw, mask)
    return Exploration(
        raw=raw,
        mask=mask,
        voxel_size_nm=voxel_size_nm,
        notes=notes if voxel_size_nm else (*notes, _UNKNOWN_SIZE),
        annotation=annotation,
        grey_values=_count_grey_values(raw, annotation),
        brightness=measure_brightness(raw),
        neighbours=correlate_neighbours(profiles, 1),
        curves=curves,
        from_first=correlate_with_first(profiles),
        guard_gap=measure_guard_gap(raw),
        findings=findings,
        unchecked=unchecked,
    )


def _annotate(raw: np.ndarray, mask: np.ndarray) -> Annotation:
    objects = measure_objects(mask)
    tile_size = objects.suggest_tile_size()
    return Annotation(
        objects=objects,
        contrast=measure_contrast(raw, mask),
        share=np.count_nonzero(mask, axis=(1, 2)) / mask[0].size,
        tile_size=tile_size,
        empty_tiles=empty_tile_share(mask, tile_size),
    )


def _count_grey_values(
    raw: np.ndarray, annotation: Annotation | None
) -> tuple[np.ndarray, np.ndarray]:
    if annotation is not None:
        contrast = annotation.contrast
        return contrast.levels, contrast.inside + contrast.outside
    levels = find_levels(raw)
    counts = np.zeros(len(levels), np.int64)
    for section in raw:
        counts += np.bincount(level_of(section, levels), minlength=len(levels))
    return levels, counts


def _annotation_row(
    annotation: Annotation | None, voxel_size_nm: VoxelSize | None
) -> dict[str, Any]:
    if annotation is None:
        keys = (
            "foreground_fraction", "objects_2d", "objects_3d", "objects_3d_at_border",
            "mean_area_voxels", "mean_area_nm2", "mean_volume_voxels", "mean_volume_nm3",
            "areas_voxels", "areas_nm2", "volumes_voxels", "volumes_nm3", "tile_size",
            "empty_tile_share", "threshold_dice", "threshold", "threshold_foreground",
            "dice_of_everything", "histogram_overlap",
        )  # fmt: skip
        return dict.fromkeys(keys)
    objects, contrast = annotation.objects, annotation.contrast
    area, volume = float(objects.areas.mean()), float(objects.volumes.mean())
    nm2 = math.prod(voxel_size_nm[1:]) if voxel_size_nm else None
    nm3 = math.prod(voxel_size_nm) if voxel_size_nm else None
    return {
        "foreground_fraction": float(annotation.share.mean()),
        "objects_2d": len(objects.areas),
        "objects_3d": len(objects.volumes),
        "objects_3d_at_border": objects.at_border,
        "mean_area_voxels": area,
        "mean_area_nm2": nm2 and area * nm2,
        "mean_volume_voxels": volume,
        "mean_volume_nm3": nm3 and volume * nm3,
        "areas_voxels": _distribution(objects.areas),
        "areas_nm2": nm2 and _distribution(objects.areas * nm2),
        "volumes_voxels": _distribution(objects.volumes),
        "volumes_nm3": nm3 and _distribution(objects.volumes * nm3),
        "tile_size": annotation.tile_size,
        "empty_tile_share": annotation.empty_tiles,
        "threshold_dice": contrast.dice,
        "threshold": contrast.threshold,
        "threshold_foreground": contrast.foreground_is,
        "dice_of_everything": contrast.dice_of_all,
        "histogram_overlap": contrast.overlap,
    }


def _distribution(sizes: np.ndarray) -> dict[str, float]:
    quantiles = np.quantile(sizes, _QUANTILES)
    named = {f"p{share * 100:.0f}": float(size) for share, size in zip(_QUANTILES, quantiles)}  # noqa: B905
    return {"least": float(sizes.min()), **named, "greatest": float(sizes.max())}


def _correlation_row(correlation: Correlation) -> dict[str, Any]:
    return {
        "distances": correlation.distances.tolist(),
        "values": correlation.values.round(5).tolist(),
        "low": correlation.low.round(5).tolist(),
        "high": correlation.high.round(5).tolist(),
        "pairs": correlation.pairs.tolist(),
        "independent_pixels": correlation.independent.round(1).tolist(),
    }
