"""An explanation as one page for the person who has to trust the model, or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from trainer.explanation_pictures import patch_side
from trainer.overlay import encode_jpeg
from trainer.page import Page

if TYPE_CHECKING:
    from trainer.explain import Explanation, LevelExplanation


def build_explanation_page(
    explanation: Explanation,
    model: str,
    raw: str,
    pictures: Mapping[str, np.ndarray],
    notes: Sequence[str] = (),
) -> bytes:
    """Writes the page.

    Args:
        explanation: What was found.
        model: The model's name or folder.
        raw: The file of the volume.
        pictures: RGB, uint8 (y, x, 3), by the names of their files without the ending.
        notes: What has to be known of the files.
    """
    page = Page("What did the network go by?", _headline(explanation))
    region = explanation.region
    page.table(
        ["", ""],
        [
            ["model", model],
            ["volume", raw],
            ["section", str(explanation.section)],
            [
                "box",
                f"y {region.y0} to {region.y1}, x {region.x0} to {region.x1}, in voxels",
            ],
            *(["note", note] for note in notes),
        ],
    )
    page.figure(
        encode_jpeg(pictures["section"]),
        "The section, the box in green, and the outline of what the model calls foreground in "
        f"yellow.{_about_window(explanation)}",
    )
    _add_maps(page, explanation, pictures)
    _add_filters(page, explanation, pictures)
    return page.render()


def _headline(explanation: Explanation) -> str:
    return (
        f"In the box the model gives foreground a probability of {explanation.probability:.2f} in "
        f"the mean, and calls {explanation.foreground_share:.0%} of it foreground."
    )


def _about_window(explanation: Explanation) -> str:
    window = explanation.window
    return (
        f" The picture shows y {window.y0} to {window.y1} and x {window.x0} to {window.x1}, all "
        "that the network was shown; “the section” below means this part."
    )


def _add_maps(page: Page, explanation: Explanation, pictures: Mapping[str, np.ndarray]) -> None:
    page.heading("Where the evidence lies")
    page.paragraph(
        "Each map adds up a level's features, every one weighted by how much it raises the score "
        "of the box (Seg-Grad-CAM, Vinogradova et al. 2020). Bright places hold features that "
        "speak for foreground in the box: if they lie on the object and its membrane, the network "
        "went by the object itself; if they lie elsewhere, by its surroundings, or by features "
        "that the whole section has. A map is no proof: it shows what the score is sensitive to. "
        "Each is scaled to its own strongest place: the brightness of two maps cannot be "
        "compared."
    )
    for level in explanation.levels:
        if level.activation_map is not None:
            page.figure(
                encode_jpeg(pictures[f"map-{level.response.name}"]),
                _map_caption(explanation, level),
            )


def _map_caption(explanation: Explanation, level: LevelExplanation) -> str:
    start = f"{_place(level)}. "
    if level.share_in_region is None:
        return start + "The map is empty: nothing at this level speaks for foreground in the box."
    return start + (
        f"{level.share_in_region:.1%} of the map lies within the box, which is "
        f"{explanation.area_share:.1%} of the section. It is scaled to its own strongest place."
    )


def _add_filters(page: Page, explanation: Explanation, pictures: Mapping[str, np.ndarray]) -> None:
    page.heading("Which filters stand out")
    page.paragraph(
        "A filter stands out by the difference of its mean response in the box and in the whole "
        "section, in standard deviations of its response over the section. Beside its map stand "
        "the patches of the section that it answers to most: the pattern that it has learned, as "
        "far as this section shows it. The effect says what it adds to the logit of the box, to "
        "first order; a negative one speaks against foreground."
    )
    for level in explanation.levels:
        name = level.response.name
        page.figure(encode_jpeg(pictures[f"filters-{name}"]), _filters_caption(level))
        page.table(
            ["filter", "stands out by", "mean in the box", "in the section", "effect"],
            [
                [f.number, f.stands_out, f.mean_in_region, f.mean_in_section, f.effect]
                for f in level.filters
            ],
        )


def _filters_caption(level: LevelExplanation) -> str:
    side = patch_side(level.response.factor)
    return (
        f"{_place(level)}: the {len(level.filters)} of {level.response.response.shape[-1]} filters "
        "that stand out most. Bright is a strong response, on a scale of each map's own, which the "
        "bar beside it shows: the brightness of two maps cannot be compared. Patches are "
        f"{side} × {side} voxels."
    )


def _place(level: LevelExplanation) -> str:
    factor = level.response.factor
    name = level.response.name
    cell = "a cell is one voxel" if factor == 1 else f"a cell is {factor} × {factor} voxels"
    if name == "centre":
        return f"The centre of the network ({cell})"
    way, number = name.split("_")
    return f"Level {number} on the way {way} ({cell})"
