"""How a volume was exposed: saturated voxels, and brightness along z."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.contrast import find_levels, level_of
from trainer.finding import Finding, list_sections

# Of a section's voxels at one end of the grey values, and how many times those beside it.
_SATURATED_SHARE = 0.005
_PILED_UP = 4.0
_NEXT_LEVELS = 256  # a level next to the end is so large a part of the range, or one grey value
# In units of the deviation of the voxels of a section.
_DRIFT = 1.25
_JUMP = 0.4
_TREND_SECTIONS = 7


@dataclass(frozen=True, eq=False)
class Brightness:
    """Mean grey values along z.

    Attributes:
        means: Of each section.
        trend: Their running median over seven sections.
        spread: The median section's deviation of voxels: the unit of what follows.
        drift: From the least to the greatest value of a straight line through the means.
        jumps: How far each section's mean is off the trend.
    """

    means: np.ndarray
    trend: np.ndarray
    spread: float
    drift: float
    jumps: np.ndarray


def measure_brightness(raw: np.ndarray) -> Brightness:
    """Measures the brightness of the sections of a volume (z, y, x)."""
    means = np.array([float(section.mean(dtype=np.float64)) for section in raw])
    spread = float(np.median([float(section.std(dtype=np.float64)) for section in raw])) or 1.0
    trend = _running_median(means)
    slope = float(np.polyfit(np.arange(len(means)), means, 1)[0]) if len(means) > 1 else 0.0
    drift = abs(slope) * (len(means) - 1) / spread
    return Brightness(means, trend, spread, drift, (means - trend) / spread)


def find_drift(raw: np.ndarray) -> list[Finding]:
    """Finds brightness that wanders along z, and sections that leap out of its trend.

    A volume is scaled by its own percentiles as a whole: a drift by more than a deviation of the
    voxels makes the same tissue look different at its ends.

    Args:
        raw: Grey values, (z, y, x).
    """
    brightness, findings = measure_brightness(raw), []
    if brightness.drift > _DRIFT:
        findings.append(
            Finding(
                "drift",
                (),
                f"the brightness drifts by {brightness.drift:.1f} deviations of the voxels from "
                f"section 0 to {len(raw) - 1}; level it (for instance by subtracting each "
                "section's mean), or search with the augmentation brightness",
            )
        )
    jumps = np.flatnonzero(np.abs(brightness.jumps) > _JUMP).tolist()
    if jumps:
        furthest = float(brightness.jumps[jumps][np.abs(brightness.jumps[jumps]).argmax()])
        findings.append(
            Finding(
                "brightness",
                tuple(jumps),
                f"{list_sections(jumps)}: brighter or darker than the sections around, by up to "
                f"{furthest:+.1f} deviations of the voxels; level the brightness, or search with "
                "the augmentation brightness",
            )
        )
    return findings


def find_saturation(raw: np.ndarray) -> list[Finding]:
    """Finds an end of the grey values at which voxels pile up.

    What is too bright or too dark for the detector gets the last value that there is: 0.5 % of
    a section's voxels there, and four times as many as beside it, are no tail of a histogram.

    Args:
        raw: Grey values, (z, y, x).
    """
    levels = find_levels(raw)
    if len(levels) < 3:
        return []
    counts = np.array([_count_ends(section, levels) for section in raw])  # (z, end, last or beside)
    findings = []
    for end, (name, value) in enumerate((("darkest", levels[0]), ("brightest", levels[-1]))):
        last, beside = counts[:, end].T / raw[0].size
        saturated = (last > _SATURATED_SHARE) & (last > _PILED_UP * beside)
        sections = np.flatnonzero(saturated).tolist()
        if not sections:
            continue
        share = float(last[saturated].mean())
        findings.append(
            Finding(
                "saturation",
                tuple(sections),
                f"{list_sections(sections)}: {share:.1%} of their voxels have the {name} value "
                f"that there is, {value:g}, and few the ones beside it: saturated, or filled in "
                "around the tissue; take the original values, or crop what was filled in",
            )
        )
    return findings


def _count_ends(section: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Voxels at the last value and beside it, (end, last or beside); a blank section has none."""
    if section.min() == section.max():
        return np.zeros((2, 2), np.int64)
    counts = np.bincount(level_of(section, levels), minlength=len(levels))
    beside = max(1, len(levels) // _NEXT_LEVELS) + 1
    return np.array(
        [[side[0], side[1:beside].sum()] for side in (counts, counts[::-1])], dtype=np.int64
    )


def _running_median(means: np.ndarray) -> np.ndarray:
    reach = _TREND_SECTIONS // 2
    padded = (
        np.pad(means, reach, mode="reflect")
        if len(means) > reach
        else np.pad(means, reach, mode="edge")
    )
    windows = np.lib.stride_tricks.sliding_window_view(padded, _TREND_SECTIONS)
    medians: np.ndarray = np.median(windows, axis=1)
    return medians
