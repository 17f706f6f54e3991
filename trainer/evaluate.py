"""A model's scores on a volume."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from trainer.boundary import boundary_dice
from trainer.device import configure_device
from trainer.errors import InputError
from trainer.evaluation_page import Subject, build_evaluation_page
from trainer.instances import (
    InstanceScores,
    Overlap,
    measure_sections,
    panoptic_quality,
    score_overlaps,
)
from trainer.memory import check_memory
from trainer.metrics import PooledHistogram, Scores
from trainer.model import Model, load_model
from trainer.object_rows import ObjectRow, list_objects
from trainer.output_folder import OutputFolder
from trainer.overlay import draw_overlays, encode_png
from trainer.precision_recall import PrecisionRecall
from trainer.prediction import OnProgress, prepare_prediction, smallest_object_here
from trainer.section_scores import SectionScore, score_sections, summarize, worst_sections
from trainer.table import to_csv
from trainer.trained_sections import (
    find_guard_gap,
    find_trained_sections,
    find_validation_sections,
    has_other_mask,
)
from trainer.volume import Volume, load_volume

_RECORD = "evaluation.json"
_FILES = ("evaluation.html", "sections.csv", "objects.csv", "section-*.png")
_VOXEL_BYTES = 13
"""Of probabilities, two masks and the objects in both, for each voxel that is scored."""
_ADVICE = "score fewer with --sections FIRST,END, or use a machine with more memory"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of one model on one volume.

    Attributes:
        scores: Pooled over every voxel, at the model's own threshold.
        best: The same at the threshold that suits this volume best, which only its mask tells.
        mcc: Matthews correlation coefficient at the model's own threshold.
        precision_recall: At every threshold.
        boundary_dice: By tolerance in voxels, as `trainer.boundary` defines it.
        instances_2d: Objects found, section by section (8-connected), at an IoU of 0.5.
        instances_2d_iou_075: The same at an IoU of 0.75.
        panoptic_quality_2d: Of all sections' objects together.
        instances_3d: Objects found in the volume (26-connected), at an IoU of 0.5.
        instances_3d_iou_075: The same at an IoU of 0.75.
        panoptic_quality_3d: Of the volume's objects.
        sections: Scores of each section.
        objects: Every true object of the volume, and the predicted ones that are none.
        probability: uint8, (z, y, x).
        prediction: 0 or 1, uint8, (z, y, x).
        notes: Sentences for the user on how it was predicted.
    """

    scores: Scores
    best: Scores
    mcc: float
    precision_recall: PrecisionRecall
    boundary_dice: Mapping[int, float]
    instances_2d: InstanceScores
    instances_2d_iou_075: InstanceScores
    panoptic_quality_2d: float
    instances_3d: InstanceScores
    instances_3d_iou_075: InstanceScores
    panoptic_quality_3d: float
    sections: Sequence[SectionScore]
    objects: Sequence[ObjectRow]
    probability: np.ndarray
    prediction: np.ndarray
    notes: Sequence[str]

    @property
    def section_summary(self) -> dict[str, Any]:
        """Mean and spread over the sections, as `trainer.section_scores` defines them."""
        return summarize(self.sections)

    def to_mapping(self) -> dict[str, Any]:
        """The scores as JSON can hold them.

        `dice, iou, precision, recall, threshold, voxels`, `mcc`, `average_precision`,
        `boundary_dice {"1", "2"}` (voxels of tolerance), `best_threshold`,
        `dice_at_best_threshold`, `instances_2d`, `instances_2d_iou_075`, `instances_3d` and
        `instances_3d_iou_075` as `{found, total, predicted, precision, recall, f1}`,
        `panoptic_quality_2d`, `panoptic_quality_3d`, and `sections` as
        `{count, with_dice, dice_mean, dice_std, dice_median, dice_min, dice_min_section, worst}`.
        """
        return {
            **asdict(self.scores),
            "mcc": self.mcc,
            "average_precision": self.precision_recall.average_precision,
            "boundary_dice": {str(voxels): dice for voxels, dice in self.boundary_dice.items()},
            "best_threshold": self.best.threshold,
            "dice_at_best_threshold": self.best.dice,
            "instances_2d": asdict(self.instances_2d),
            "instances_2d_iou_075": asdict(self.instances_2d_iou_075),
            "panoptic_quality_2d": self.panoptic_quality_2d,
            "instances_3d": asdict(self.instances_3d),
            "instances_3d_iou_075": asdict(self.instances_3d_iou_075),
            "panoptic_quality_3d": self.panoptic_quality_3d,
            "sections": self.section_summary,
        }


def evaluate(
    model: Model,
    volume: Volume,
    sections: range | None = None,
    *,
    on_progress: OnProgress = lambda stage, done, total: None,
) -> Evaluation:
    """Predicts a volume as `unet-search predict` does, and compares it with the mask.

    Args:
        model: With its own settings.
        volume: Image and mask.
        sections: To be scored, as if they were a volume of their own; the others are no more than
            what lies around them. All by default.
        on_progress: Told how far the prediction is.

    Raises:
        InputError: The voxel size is too far from the model's, there are no such sections, or too
            little memory for their scores.
    """
    size, block = volume.voxel_size_nm, _check_sections(sections, volume.raw.shape)
    prepared = prepare_prediction(model, volume.raw, size)
    volume = _cut(volume, block)
    probability = np.empty(volume.raw.shape, np.uint8)
    for number, section in enumerate(islice(prepared.sections(block.start), len(block))):
        probability[number] = section
        on_progress("predict", number + 1, len(block))
    model = replace(model, smallest_object_voxels=smallest_object_here(model, size))
    kept, histogram = model.without_small_objects(probability), PooledHistogram()
    for section, mask in zip(kept, volume.mask, strict=True):
        histogram.add(section, mask)
    prediction = (kept >= model.level).astype(np.uint8)
    whole = Overlap.measure(volume.mask, prediction)
    by_section = measure_sections(volume.mask, prediction)
    return Evaluation(
        scores=histogram.scores(model.threshold),
        best=histogram.best(),
        mcc=histogram.matthews_correlation(model.threshold),
        precision_recall=PrecisionRecall.of(histogram),
        boundary_dice=boundary_dice(volume.mask, prediction),
        instances_2d=score_overlaps(by_section),
        instances_2d_iou_075=score_overlaps(by_section, iou=0.75),
        panoptic_quality_2d=panoptic_quality(by_section),
        instances_3d=score_overlaps([whole]),
        instances_3d_iou_075=score_overlaps([whole], iou=0.75),
        panoptic_quality_3d=panoptic_quality([whole]),
        sections=score_sections(volume.mask, prediction, by_section, block.start),
        objects=list_objects(whole, first=block.start),
        probability=probability,
        prediction=prediction,
        notes=prepared.notes,
    )


def _check_sections(sections: range | None, shape: tuple[int, ...]) -> range:
    """The sections to score, before any is predicted."""
    count, height, width = shape
    block = range(count) if sections is None else sections
    if not 0 <= block.start < block.stop <= count:
        raise InputError(
            f"sections: expected FIRST,END with 0 <= FIRST < END <= {count}, the sections of the "
            f"volume, got {block.start},{block.stop}"
        )
    try:
        check_memory(_VOXEL_BYTES * len(block) * height * width, _ADVICE)
    except InputError as error:
        raise InputError(f"scoring {len(block)} sections {error}") from None
    return block


def _cut(volume: Volume, block: range) -> Volume:
    cut = slice(block.start, block.stop)
    return replace(volume, raw=volume.raw[cut], mask=volume.mask[cut])


def evaluate_files(
    model: Path,
    raw: Path,
    mask: Path,
    *,
    out: Path | None = None,
    voxel_size_nm: Sequence[float] | None = None,
    sections: range | None = None,
    objects: str = "objects",
    on_progress: OnProgress = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Scores a model folder on a volume in files.

    Args:
        model: A model folder.
        raw: Image stack.
        mask: Mask stack.
        out: Gets `evaluation.html` and what it is made of, where given: `evaluation.json`,
            `sections.csv`, `objects.csv` and overlays of the worst sections.
        voxel_size_nm: Of the volume, (z, y, x), where the files do not say.
        sections: To be scored; all by default.
        objects: What the mask marks, in the plural, for the page.
        on_progress: Told how far the prediction is.

    Raises:
        InputError: A file cannot be used, in one line.
    """
    folder = OutputFolder(out, _RECORD, _FILES) if out is not None else None
    if folder is not None:
        folder.check()
    volume = load_volume(raw, mask, voxel_size_nm=voxel_size_nm)
    scored = _check_sections(sections, volume.raw.shape)
    loaded = load_model(model, precision=configure_device().precision)
    if folder is not None:
        folder.prepare()
    evaluation = evaluate(loaded, volume, scored, on_progress=on_progress)
    notes = [*volume.notes, *evaluation.notes, *_describe(scored, loaded, volume)]
    volume = _cut(volume, scored)
    scores = evaluation.to_mapping() | {
        "voxel_size_nm": volume.voxel_size_nm and list(volume.voxel_size_nm),
        "notes": notes,
    }
    if folder is None:
        return scores
    subject = Subject(str(model), str(raw), volume.raw.shape, volume.voxel_size_nm, objects, notes)
    return folder.write(scores, build_files(evaluation, volume, subject))


def _describe(scored: range, model: Model, volume: Volume) -> Iterator[str]:
    """What has to be known of the sections that were scored."""
    trained = find_trained_sections(model.card, volume)
    known = _shared(scored, trained)
    if known:
        yield (
            f"the model was trained on sections {known.start} to {known.stop - 1} of this volume: "
            "what it does with new data, held-out sections tell (--sections FIRST,END)"
        )
    between = max(scored.start - trained.stop, trained.start - scored.stop)
    gap = find_guard_gap(model.card, volume)
    if trained and 0 <= between < gap:
        yield (
            f"{between} sections, fewer than the gap of {gap}, lie between those scored and those "
            f"that the model learned from ({trained.start} to {trained.stop - 1}): neighbouring "
            "sections are almost copies, and the scores are a little too good"
        )
    chosen = _shared(scored, find_validation_sections(model.card, volume))
    if chosen and not known:
        yield (
            f"the model was chosen and tuned on sections {chosen.start} to {chosen.stop - 1} of "
            "this volume: their scores are a little too good"
        )
    if has_other_mask(model.card, volume):
        yield "the model learned from another mask of this image"
    if len(scored) < len(volume.raw):
        yield f"scored sections {scored.start} to {scored.stop - 1} of the volume"


def _shared(one: range, other: range) -> range:
    return range(max(one.start, other.start), min(one.stop, other.stop))


def build_files(evaluation: Evaluation, volume: Volume, subject: Subject) -> dict[str, bytes]:
    """Makes the files of an evaluation beside its record: their contents by name.

    Args:
        evaluation: What was measured.
        volume: What it was measured on.
        subject: The same in words.
    """
    scores = evaluation.sections
    pictures = draw_overlays(
        volume, evaluation.prediction, worst_sections(scores), first=scores[0].section
    )
    return {
        **{f"section-{number:04d}.png": encode_png(drawn) for number, drawn in pictures.items()},
        "sections.csv": to_csv(SectionScore, evaluation.sections),
        "objects.csv": to_csv(ObjectRow, evaluation.objects),
        "evaluation.html": build_evaluation_page(evaluation, subject, pictures),
    }
