"""An evaluation as one page for the person who has to decide whether the model is good enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.evaluation_charts import draw_dice_along_z, draw_precision_recall, draw_sizes
from trainer.instances import InstanceScores
from trainer.overlay import encode_jpeg, overlay_legend
from trainer.page import Page

if TYPE_CHECKING:
    from trainer.evaluate import Evaluation

_ABOUT_PRECISION = "share of the predicted foreground that is true"
_ABOUT_MCC = "correlation of truth and prediction, background included; 0 is chance"
_KINDS = ("true", "false")


@dataclass(frozen=True)
class Subject:
    """What an evaluation is about, in words for its page.

    Attributes:
        model: Its name or folder.
        raw: The file of the volume.
        shape: Of the volume, (z, y, x).
        voxel_size_nm: Its voxels' edges, (z, y, x), where known.
        objects: What the mask marks, in the plural.
        notes: What the person should know beside the scores.
    """

    model: str
    raw: str
    shape: tuple[int, ...]
    voxel_size_nm: Sequence[float] | None
    objects: str
    notes: Sequence[str] = ()


def build_evaluation_page(
    evaluation: Evaluation, subject: Subject, pictures: Mapping[int, np.ndarray]
) -> bytes:
    """Writes the page.

    Args:
        evaluation: What was measured.
        subject: What it was measured on.
        pictures: Overlays of the worst sections, RGB uint8 (y, x, 3), by section.
    """
    page = Page(f"How well were the {subject.objects} segmented?", _headline(evaluation, subject))
    _add_subject(page, evaluation, subject)
    _add_objects(page, evaluation, subject)
    _add_voxels(page, evaluation)
    _add_sections(page, evaluation, list(pictures))
    _add_threshold(page, evaluation)
    _add_pictures(page, evaluation, pictures)
    return page.render()


def _headline(evaluation: Evaluation, subject: Subject) -> str:
    scores = evaluation.instances_3d
    false = scores.predicted - scores.found
    return (
        f"{scores.found:,} of {scores.total:,} {subject.objects} found; "
        f"{false:,} of the {scores.predicted:,} predicted objects match none of them. "
        f"Voxel by voxel: Dice {evaluation.scores.dice:.3f}."
    )


def _add_subject(page: Page, evaluation: Evaluation, subject: Subject) -> None:
    size = subject.voxel_size_nm
    page.table(
        ["", ""],
        [
            ["model", f"{subject.model}, threshold {evaluation.scores.threshold:.2f}"],
            ["volume", subject.raw],
            ["size", " × ".join(map(str, subject.shape)) + " voxels (z × y × x)"],
            ["voxel", "unknown" if size is None else " × ".join(f"{s:g}" for s in size) + " nm"],
        ],
    )
    for note in subject.notes:
        page.paragraph(f"Note: {note}.")


def _add_objects(page: Page, evaluation: Evaluation, subject: Subject) -> None:
    page.heading("Objects")
    page.paragraph(
        "An object counts as found if one predicted object covers it well: the voxels that both "
        "share are at least half (or three quarters) of the voxels that either has (IoU). Recall "
        "is the share of true objects that were found, which medicine calls sensitivity; precision "
        "the share of predicted objects that are true, its positive predictive value. F1 is their "
        "harmonic mean. Objects that touch are one object in the mask."
    )
    whole, single = "in the volume (3D)", "in single sections (2D)"
    page.table(
        ["", "IoU", "found", "of", "predicted", "recall", "precision", "F1", "panoptic quality"],
        [
            _row(whole, 0.5, evaluation.instances_3d, evaluation.panoptic_quality_3d),
            _row(whole, 0.75, evaluation.instances_3d_iou_075, None),
            _row(single, 0.5, evaluation.instances_2d, evaluation.panoptic_quality_2d),
            _row(single, 0.75, evaluation.instances_2d_iou_075, None),
        ],
    )
    page.paragraph(
        "Panoptic quality multiplies F1 at an IoU of 0.5 with the mean IoU of the objects found: "
        "1 is perfect, and it falls with objects missed, invented or badly outlined."
    )
    page.figure(
        draw_sizes(evaluation.objects, subject.voxel_size_nm),
        f"Each point is one of the {subject.objects} in the volume: to the right the large ones, "
        "further up those that were outlined well. Points below the dashed line count as missed. "
        "If they crowd at the left, it is the small ones that the model overlooks, or pieces cut "
        "off by the volume's faces.",
    )
    page.paragraph(f"{_about_false(evaluation)}objects.csv lists every object with its place.")


def _about_false(evaluation: Evaluation) -> str:
    """What a person needs to know to choose a smallest size."""
    sizes = {kind: [r.voxels for r in evaluation.objects if r.kind == kind] for kind in _KINDS}
    true, false = sizes.values()
    if not true or not false:
        return ""
    return (
        f"Of the {len(false):,} predicted objects that match none, half have at most "
        f"{int(np.median(false)):,} voxels; the smallest true object has {min(true):,}. "
    )


def _row(name: str, iou: float, scores: InstanceScores, quality: float | None) -> list[Any]:
    counts = [scores.found, scores.total, scores.predicted]
    shares = [scores.recall, scores.precision, scores.f1]
    return [name, f"≥ {iou:g}", *counts, *shares, quality]


def _add_voxels(page: Page, evaluation: Evaluation) -> None:
    page.heading("Voxels")
    page.paragraph(
        f"Over all {evaluation.scores.voxels:,} voxels of the volume together. All of these are "
        "shares of 1, where 1 is perfect."
    )
    page.table(["measure", "", "what it says"], _voxel_rows(evaluation))


def _voxel_rows(evaluation: Evaluation) -> list[list[Any]]:
    scores = evaluation.scores
    precision = evaluation.precision_recall.average_precision
    return [
        ["Dice", scores.dice, "overlap of truth and prediction, twice over the sum of both"],
        ["IoU (Jaccard)", scores.iou, "their overlap over what either covers"],
        ["recall (sensitivity)", scores.recall, "share of the true foreground that was found"],
        ["precision (positive predictive value)", scores.precision, _ABOUT_PRECISION],
        ["Matthews correlation", evaluation.mcc, _ABOUT_MCC],
        ["average precision", precision, "precision averaged over recall, whatever the threshold"],
        *(_boundary_row(*each) for each in evaluation.boundary_dice.items()),
    ]


def _boundary_row(tolerance: int, dice: float) -> list[Any]:
    voxels = "1 voxel" if tolerance == 1 else f"{tolerance} voxels"
    about = f"share of both outlines that lies within {voxels} of the other one"
    return [f"boundary Dice, {voxels}", dice, about]


def _add_sections(page: Page, evaluation: Evaluation, shown: Sequence[int]) -> None:
    page.heading("Along the volume")
    summary = evaluation.section_summary
    if summary["dice_mean"] is not None:
        page.paragraph(
            f"Dice of a section: {summary['dice_mean']:.3f} in the mean, with a standard deviation "
            f"of {summary['dice_std']:.3f} between sections; at worst {summary['dice_min']:.3f}, "
            f"in section {summary['dice_min_section']}."
        )
    page.figure(
        draw_dice_along_z(evaluation.sections, shown),
        "Dice of each section. A dip tells where to look: a fold, a change of focus or contrast, "
        "or a section with little foreground, where few voxels decide. A steady fall along z tells "
        "of tissue unlike that of the training. Sections without any foreground have no point.",
    )
    page.paragraph("sections.csv has every section's scores and counts.")


def _add_threshold(page: Page, evaluation: Evaluation) -> None:
    page.heading("The threshold")
    page.figure(
        draw_precision_recall(
            evaluation.precision_recall, evaluation.scores.threshold, evaluation.best.threshold
        ),
        "What other thresholds on the probability would give. The further the curve reaches into "
        "the upper right corner, the better the model tells foreground from background; a point "
        "further left on it misses more and invents less. The square is the threshold that suits "
        f"this volume best (Dice {evaluation.best.dice:.3f}); only its mask tells, so it is no "
        "fair score. If it lies far from the circle, the model is miscalibrated here.",
    )


def _add_pictures(page: Page, evaluation: Evaluation, pictures: Mapping[int, np.ndarray]) -> None:
    page.heading("The worst sections")
    page.paragraph(
        "Those with the most voxels wrong, some way apart, since neighbours are almost copies."
    )
    page.legend(overlay_legend())
    scores = {score.section: score for score in evaluation.sections}
    for section, picture in pictures.items():
        score = scores[section]
        dice = "no foreground" if score.dice is None else f"Dice {score.dice:.3f}"
        page.figure(
            encode_jpeg(picture),
            f"Section {section}: {dice}, {score.found_objects} of {score.objects} objects found, "
            f"{score.missed_voxels:,} voxels missed and {score.false_voxels:,} false.",
        )
