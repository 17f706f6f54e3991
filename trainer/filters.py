"""Which filters of a level stand out in a region, and what else they answer to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.feature import peak_local_max

from trainer.activation_map import LevelResponse
from trainer.region import Region

_EPSILON = 1e-6


@dataclass(frozen=True, eq=False)
class Filter:
    """One filter of a level.

    Attributes:
        number: Of the level's filters, from 0.
        stands_out: Its mean response in the region less that in the whole section, in standard
            deviations of its response over the section.
        mean_in_region: Of its response.
        mean_in_section: The same.
        effect: What it adds to the region's mean logit to first order: its response times the
            logit's gradient, summed; negative where it speaks against foreground.
        peaks: Cells where it responds most, (y, x), the strongest first, apart from each other.
        response: float32 (y, x), in cells of the level.
    """

    number: int
    stands_out: float
    mean_in_region: float
    mean_in_section: float
    effect: float
    peaks: tuple[tuple[int, int], ...]
    response: np.ndarray


def strongest_filters(
    level: LevelResponse, region: Region, *, count: int = 4, peaks: int = 5, apart: int = 32
) -> list[Filter]:
    """The filters whose response in the region stands out most from the rest of the section.

    Args:
        level: What the level answered.
        region: In voxels of the image that was shown. A cell that it covers in part counts in part.
        count: How many filters.
        peaks: How many places of strongest response of each.
        apart: Voxels that these lie apart at least.
    """
    height, width, filters = level.response.shape
    share = region.share_of_cells(height, width, level.factor)
    inside = np.tensordot(share, level.response, axes=2) / share.sum()
    mean, deviation = level.response.mean(axis=(0, 1)), level.response.std(axis=(0, 1))
    # A filter that answers the same everywhere stands out nowhere.
    stands_out = np.where(deviation > _EPSILON, (inside - mean) / (deviation + _EPSILON), 0.0)
    voxels = (region.y1 - region.y0) * (region.x1 - region.x0)
    effect = (level.gradient * level.response).sum(axis=(0, 1)) / voxels
    distance = max(1, round(apart / level.factor))
    return [
        Filter(
            number=int(number),
            stands_out=float(stands_out[number]),
            mean_in_region=float(inside[number]),
            mean_in_section=float(mean[number]),
            effect=float(effect[number]),
            peaks=_peaks(level.response[..., number], peaks, distance),
            response=level.response[..., number],
        )
        for number in np.argsort(-stands_out, kind="stable")[: min(count, filters)]
    ]


def _peaks(response: np.ndarray, count: int, distance: int) -> tuple[tuple[int, int], ...]:
    found = peak_local_max(response, min_distance=distance, num_peaks=count, exclude_border=False)
    return tuple((int(y), int(x)) for y, x in found)
