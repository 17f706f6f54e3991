"""Sections that do not fit between their neighbours: out of order, or spoiled."""

from __future__ import annotations

import numpy as np

from trainer.finding import Finding, Unchecked, list_sections
from trainer.section_correlation import correlate_neighbours, thinned_profiles

# By so many times its own scatter neighbours have to resemble each other more than next neighbours
# do, or their order cannot be told from the pictures.
_CLEAR_STEP = 2.0
_LEAST_SECTIONS = 4


def find_swapped(raw: np.ndarray) -> list[Finding | Unchecked]:
    """Finds pairs of neighbouring sections that fit better the other way round.

    In a row a, b, c, d, sections b and c are compared with those beside the pair: they look
    swapped where a resembles c more than b, and d resembles b more than c, together by at least
    half of what one section's distance makes usually.

    Args:
        raw: Grey values, (z, y, x).
    """
    near, far, step = _similarities(raw)
    if reason := _obstacle(len(raw), step):
        return [Unchecked("swapped", reason)]
    findings: list[Finding | Unchecked] = []
    for z in range(len(raw) - 1):
        below = far[z - 1] - near[z - 1] if z > 0 else np.nan
        above = far[z] - near[z + 1] if z + 2 < len(raw) else np.nan
        gains = [gain for gain in (below, above) if not np.isnan(gain)]
        if gains and np.mean(gains) > step / 2:
            findings.append(
                Finding(
                    "swapped",
                    (z, z + 1),
                    f"sections {z} and {z + 1}: they look swapped, each resembles the other's "
                    "neighbour more than its own; compare them with the microscope's files and "
                    "put raw and mask in order",
                )
            )
    return findings


def find_spoiled(raw: np.ndarray) -> list[Finding | Unchecked]:
    """Finds sections that resemble their neighbours less than those resemble each other.

    A section between two others resembles both more than they do each other, unless it is noisy,
    shifted, distorted or covered by something.

    Args:
        raw: Grey values, (z, y, x).
    """
    near, far, step = _similarities(raw)
    if reason := _obstacle(len(raw), step):
        return [Unchecked("spoiled", reason)]
    best = np.fmax(near[:-1], near[1:])
    spoiled = (np.flatnonzero(best + step / 2 < far) + 1).tolist()
    if not spoiled:
        return []
    return [
        Finding(
            "spoiled",
            tuple(spoiled),
            f"{list_sections(spoiled)}: less like the neighbours than those are like each other: "
            "noisy, shifted, distorted or covered; look at what is there, and keep it out of "
            "validation and holdout",
        )
    ]


def _obstacle(sections: int, step: float) -> str | None:
    """Why an order cannot be told, where it cannot."""
    if sections < _LEAST_SECTIONS:
        return f"it takes {_LEAST_SECTIONS} sections, the volume has {sections}"
    if step <= 0:
        return (
            "sections do not clearly resemble the next one more than the one after it, so their "
            "order cannot be told from the images"
        )
    return None


def _similarities(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Correlations one and two sections apart, and what a section more usually costs.

    That is 0 where it is too little to tell an order by.
    """
    profiles = thinned_profiles(raw)
    near, far = correlate_neighbours(profiles, 1), correlate_neighbours(profiles, 2)
    steps = (near[:-1] - far)[~np.isnan(near[:-1] - far)]
    if not len(steps):
        return near, far, 0.0
    step = float(np.median(steps))
    scatter = float(np.median(np.abs(steps - step)))
    return near, far, step if step > _CLEAR_STEP * scatter else 0.0
