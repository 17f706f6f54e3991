"""Whether a mask belongs to the sections that it lies on."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import stats

from trainer.finding import Finding, Unchecked

_SHIFTS = range(-3, 4)
_LARGEST_CLAIM = 2
_BLUR_SIGMA = 1.5
# Sections that are looked at, and how many neighbours count as one observation.
_SECTIONS = 160
_BLOCK_SECTIONS = 8
_LEAST_BLOCKS = 4
_LEAST_SECTIONS = 2 * _LEAST_BLOCKS
# Of a test that takes part only where the profile over the shifts already peaks beside zero.
_CHANCE = 0.01


def find_mask_shift(raw: np.ndarray, mask: np.ndarray | None) -> list[Finding | Unchecked]:
    """Finds a mask that is one or two sections off.

    The outline of an object lies on something special in the image: a steep edge, or the middle of
    a dark membrane, where there is none. So the gradient along the outline is further from the
    section's average (in its deviations) at the right shift than at any other. Which shift that is
    has to be clear: against no shift at all, in blocks of sections, by a t-test at 1 %, and falling
    off from the best shift on both sides.

    Args:
        raw: Grey values, (z, y, x).
        mask: 0 or 1, uint8, (z, y, x), or None where there is none.
    """
    if mask is None:
        return [Unchecked("mask shift", "there is no mask")]
    strengths = measure_alignment(raw, mask)
    if strengths.shape[1] < _LEAST_SECTIONS:
        return [Unchecked("mask shift", _describe_lack(strengths.shape[1]))]
    means = strengths.mean(axis=1)
    best = int(np.abs(means).argmax())
    shift = _SHIFTS[best]
    if shift == 0 or abs(shift) > _LARGEST_CLAIM or not _peaks(np.abs(means), best):
        return []
    gain = np.sign(means[best]) * (strengths[best] - strengths[_SHIFTS.index(0)])
    if not _is_clear(gain):
        return []
    return [
        Finding(
            "mask shift",
            (),
            f"the mask of section z fits section z {-shift:+d}: its outlines lie on edges of the "
            f"image only when it is moved by {-shift:+d} along z; check the first and the last "
            "section of both files, and move the mask",
        )
    ]


def measure_alignment(raw: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image's gradient along the outlines of the masks from 3 sections below to 3 above.

    Args:
        raw: Grey values, (z, y, x).
        mask: 0 or 1, uint8, (z, y, x).

    Returns:
        Mean gradient along the outline less that of the section, in its deviations, (shift,
        section), for the sections whose masks at all shifts hold something.
    """
    outlines = [_outline(section) for section in mask]
    drawn = np.array([outline.any() for outline in outlines])
    reach = max(_SHIFTS)
    usable = [z for z in range(reach, len(raw) - reach) if drawn[z - reach : z + reach + 1].all()]
    columns = []
    for z in usable[:: -(-max(1, len(usable)) // _SECTIONS)]:
        gradient = _gradient(raw[z])
        mean, deviation = float(gradient.mean()), float(gradient.std()) or 1.0
        columns.append(
            [(float(gradient[outlines[z + shift]].mean()) - mean) / deviation for shift in _SHIFTS]
        )
    return np.array(columns, dtype=np.float64).reshape(-1, len(_SHIFTS)).T


def _describe_lack(usable: int) -> str:
    return (
        f"it takes {_LEAST_SECTIONS} sections with foreground in the {max(_SHIFTS)} masks before "
        f"and after them as well, the volume has {usable}"
    )


def _peaks(strengths: np.ndarray, best: int) -> bool:
    rises, falls = np.diff(strengths[: best + 1]), np.diff(strengths[best:])
    return bool((rises > 0).all() and (falls < 0).all())


def _is_clear(gain: np.ndarray) -> bool:
    """Neighbouring sections say the same thing, so blocks of them are the observations."""
    blocks = np.array_split(gain, max(_LEAST_BLOCKS, len(gain) // _BLOCK_SECTIONS))
    means = np.array([block.mean() for block in blocks])
    deviation = float(means.std(ddof=1))
    if deviation == 0:
        return bool(means[0] > 0)
    t = means.mean() / (deviation / np.sqrt(len(means)))
    return bool(t > stats.t.ppf(1 - _CHANCE, len(means) - 1))


def _outline(section: np.ndarray) -> np.ndarray:
    outline: np.ndarray = cv2.morphologyEx(
        np.ascontiguousarray(section), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)
    ).astype(bool)
    return outline


def _gradient(section: np.ndarray) -> np.ndarray:
    smooth = cv2.GaussianBlur(section.astype(np.float32), (0, 0), _BLUR_SIGMA)
    gradient: np.ndarray = np.hypot(
        cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    )
    return gradient
