"""Sections that show nothing, and sections that show what another one shows."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import numpy as np

from trainer.finding import Finding, list_sections
from trainer.section_correlation import correlate_neighbours, thinned_profiles

# Of the median section's deviation: less is no picture of tissue.
_BLANK_SPREAD = 0.05
# Of the median distance (1 - r) between neighbours: one section taken twice, or stored twice with
# losses. In clean volumes the least distance is about half the median.
_SAME_DISTANCE = 0.1


def find_blank(raw: np.ndarray) -> list[Finding]:
    """Finds sections (z, y, x) that are constant, or have 5 % of the others' spread."""
    spreads = np.array([float(section.std(dtype=np.float64)) for section in raw])
    blank = np.flatnonzero(spreads <= _BLANK_SPREAD * np.median(spreads)).tolist()
    if not blank:
        return []
    return [
        Finding(
            "blank",
            tuple(blank),
            f"{list_sections(blank)}: nothing to see, all voxels are (nearly) the same; leave "
            "what is blank out of raw and mask alike",
        )
    ]


def find_duplicates(raw: np.ndarray) -> list[Finding]:
    """Finds sections (z, y, x) that are equal, anywhere, and neighbours that are nearly so."""
    equal = [
        Finding(
            "duplicate",
            tuple(group),
            f"{list_sections(group)}: identical; leave all but one of them out of raw and mask, "
            "or training and validation may share them",
        )
        for group in _equal_sections(raw)
    ]
    known = {pair for finding in equal for pair in _pairs(finding.sections)}
    return equal + [finding for finding in _near_duplicates(raw) if finding.sections not in known]


def _pairs(sections: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(first, second) for first in sections for second in sections if first < second]


def _equal_sections(raw: np.ndarray) -> list[list[int]]:
    groups = defaultdict(list)
    for z, section in enumerate(raw):
        if section.min() < section.max():  # blank ones are equal, too, and found as blank
            groups[hashlib.sha256(np.ascontiguousarray(section).data).digest()].append(z)
    return [group for group in groups.values() if len(group) > 1]


def _near_duplicates(raw: np.ndarray) -> list[Finding]:
    distances = 1 - correlate_neighbours(thinned_profiles(raw), 1)
    if np.isnan(distances).all():
        return []
    usual = float(np.nanmedian(distances))
    return [
        Finding(
            "duplicate",
            (z, z + 1),
            f"sections {z} and {z + 1}: nearly identical, their correlation is "
            f"{1 - distances[z]:.4f} where neighbours here have {1 - usual:.4f}; leave one of "
            "them out of raw and mask",
        )
        for z in np.flatnonzero(distances < _SAME_DISTANCE * usual).tolist()
    ]
