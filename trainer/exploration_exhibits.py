"""The figures of an exploration, each with a sentence on what to see in it."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from trainer.exploration import Annotation, Exploration
from trainer.exploration_charts import (
    draw_along_z,
    draw_changed,
    draw_correlation,
    draw_grey_values,
    draw_intensities,
    draw_object_sizes,
)
from trainer.exploration_page import Picture
from trainer.section_correlation import Correlation
from trainer.section_pictures import draw_deformations, draw_prism, draw_sections
from trainer.split import largest_gap
from trainer.surfaces import draw_surfaces, find_surfaces

_DPI = 110
_INTERVALS = (
    "Bands are 95 % confidence intervals by Fisher's z, with the number of independent pixels "
    "(from the autocorrelation of the sections) in place of the number of pixels: neighbouring "
    "pixels, and neighbouring pairs of sections, say nearly the same thing."
)

PICTURE_NAMES = (
    "sections", "prism", "object_sizes", "surfaces", "intensities", "along_z", "correlation",
    "correlation_flip", "correlation_noise", "correlation_elastic", "deformations",
)  # fmt: skip
"""Of the files that an exploration may write, without their ending."""


def draw_exhibits(exploration: Exploration) -> Iterator[Picture]:
    """Draws everything that there is to show of a volume."""
    exhibits = (*_sections(exploration), *_mask_exhibits(exploration), *_correlations(exploration))
    for name, title, sentence, figure in exhibits:
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=_DPI)
        yield Picture(name, title, sentence, content.getvalue())


_FLATTEST = 100
"""Ratio of a voxel's longest edge to its shortest up to which it is drawn to scale."""
Exhibit = tuple[str, str, str, Figure]


def _scale(exploration: Exploration) -> tuple[tuple[float, ...], str]:
    """Edges of a voxel and their unit, for the axes of pictures."""
    size = exploration.voxel_size_nm
    # Nothing would be seen of a volume that is a thread or a sheet.
    if size is None or max(size) > _FLATTEST * min(size):
        return (1.0, 1.0, 1.0), "voxels"
    return tuple(edge / 1000 for edge in size), "µm"


def _sections(exploration: Exploration) -> Iterator[Exhibit]:
    edges, unit = _scale(exploration)
    raw, mask = exploration.raw, exploration.mask
    outlined = "" if mask is None else " Outlines are the mask's."
    yield (
        "sections", "Sections",
        "Six sections, evenly over the volume, from the 1st to the 99th percentile of its grey "
        f"values.{outlined} Look for outlines that miss their objects.",
        draw_sections(raw, mask, edges, unit),
    )  # fmt: skip
    yield (
        "prism", "The volume as a block",
        "The first section, and the faces behind its upper and right edges. Lines that run on "
        "around the edges say that sections are aligned and in order; steps say that they are not.",
        draw_prism(raw, edges, unit),
    )  # fmt: skip
    share = None if exploration.annotation is None else exploration.annotation.share
    jump = float(np.abs(exploration.brightness.jumps).max())
    yield (
        "along_z", "Along z",
        f"The brightness drifts by {exploration.brightness.drift:.2f} deviations of the voxels "
        f"from end to end, and single sections leave its trend by {jump:.2f} at most. A section "
        "that is spoiled shows as a dip in the correlation with both its neighbours.",
        draw_along_z(exploration.brightness, exploration.neighbours, share),
    )  # fmt: skip


def _mask_exhibits(exploration: Exploration) -> Iterator[Exhibit]:
    annotation = exploration.annotation
    if annotation is None:
        yield (
            "intensities", "Grey values",
            "All voxels. With a mask, this shows those inside and outside of the objects.",
            draw_grey_values(*exploration.grey_values),
        )  # fmt: skip
        return
    edges, unit = _scale(exploration)
    yield (
        "object_sizes", "Objects",
        _size_sentence(annotation),
        draw_object_sizes(annotation.objects, edges, unit),
    )  # fmt: skip
    surfaces = find_surfaces(annotation.objects.labels)
    yield (
        "surfaces", "Surfaces of the objects",
        f"{surfaces.describe()} Flat faces at the border are cuts by the volume: "
        f"{annotation.objects.at_border} of {len(annotation.objects.volumes)} objects touch it.",
        draw_surfaces(surfaces, edges, unit),
    )  # fmt: skip
    contrast = annotation.contrast
    yield (
        "intensities", "Grey values inside and outside",
        f"The two histograms share {contrast.overlap:.0%} of their area. The best threshold, "
        f"{contrast.threshold:.4g} (dashed), with what is {contrast.foreground_is} as foreground, "
        f"reaches a Dice of {contrast.dice:.3f}; calling everything foreground (dotted), "
        f"{contrast.dice_of_all:.3f}. "
        "A network has to be better than that.",
        draw_intensities(contrast),
    )  # fmt: skip


def _size_sentence(annotation: Annotation) -> str:
    return (
        f"{len(annotation.objects.areas):,} objects in the sections (8-connected), "
        f"{len(annotation.objects.volumes):,} in the volume (26-connected). 95 % of those in the "
        f"sections fit into a tile of {annotation.tile_size} x {annotation.tile_size} voxels, the "
        "least power of two that also holds one on average (as far as the sections are that "
        f"large); {annotation.empty_tiles:.0%} of such tiles hold none."
    )


def _correlations(exploration: Exploration) -> Iterator[Exhibit]:
    plain, *changed = exploration.curves
    if not len(plain.correlation.distances):
        return
    yield (
        "correlation", "Correlation of sections with distance",
        f"Neighbouring sections have a correlation of {_at(plain.correlation, 1)}. "
        f"{_gap_sentence(exploration)} {_INTERVALS}",
        draw_correlation(plain.correlation, exploration.from_first, exploration.guard_gap),
    )  # fmt: skip
    for kind, title in (
        ("flip", "Correlation after a flip"),
        ("noise", "Correlation under noise"),
        ("elastic", "Correlation under elastic deformation"),
    ):
        curves = [curve for curve in changed if curve.kind == kind]
        ends = "; ".join(f"{curve.name}: {_at(curve.correlation, 1)}" for curve in curves)
        yield (
            f"correlation_{kind}", title,
            f"The next section, changed, against this one, where unchanged it is "
            f"{_at(plain.correlation, 1)}: {ends}. At distance 0 a section meets its own changed "
            f"copy. {_EXPLAINED[kind]}",
            draw_changed(curves, plain.correlation),
        )  # fmt: skip
    yield (
        "deformations", "Elastic deformations",
        "A tile of the middle section under each deformation of the chart above, with a grid of 16 "
        "voxels. Alpha moves voxels further; sigma makes the movement smooth. A grid that folds "
        "over itself shows tissue that cannot be.",
        draw_deformations(exploration.raw, exploration.mask),
    )  # fmt: skip


def _gap_sentence(exploration: Exploration) -> str:
    gap, correlation = exploration.guard_gap, exploration.curves[0].correlation
    place = np.flatnonzero(correlation.distances == gap)
    left = float(correlation.values[place[0]]) if len(place) else 0.0
    reason = (
        "from which on two sections resemble each other hardly more than any two of the tissue "
        "(below 0.1)"
        if gap < largest_gap(len(exploration.raw))
        else f"a fifth of the volume, which is the most, although {left:.2f} is left there"
    )
    return (
        f"The guard gap is {gap} sections, {reason}: so many are left out between training and "
        "validation."
    )


_EXPLAINED = {
    "flip": "What is left of the likeness is what the tissue has in common on either side.",
    "noise": "Strengths are deviations in units of the range from the 1st to the 99th percentile, "
    "as in the dimension noise of a search. Noise lowers the correlation by the same factor at "
    "every distance.",
    "elastic": "Alpha and sigma as in a search's dimensions elastic_alpha and elastic_sigma. The "
    "lower, the more of a new example a deformation makes; but shapes that tissue cannot have are "
    "nothing to learn from.",
}


def _at(correlation: Correlation, distance: int) -> str:
    place = np.flatnonzero(correlation.distances == distance)
    if not len(place):
        return "unknown"
    return (
        f"{correlation.values[place[0]]:.3f} "
        f"({correlation.low[place[0]]:.3f} to {correlation.high[place[0]]:.3f})"
    )
