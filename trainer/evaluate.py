"""A model's scores on a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.device import configure_device
from trainer.errors import InputError
from trainer.instances import InstanceScores, match_instances, match_sections
from trainer.metrics import PooledHistogram, Scores
from trainer.model import CARD_FILE, Model, load_model
from trainer.overlay import write_overlays
from trainer.volume import Volume, load_volume


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of one model on one volume.

    Attributes:
        scores: Pooled over every voxel, at the model's own threshold.
        best: The same at the threshold that suits this volume best, which only its mask tells.
        instances_2d: Objects found, section by section (8-connected).
        instances_3d: Objects found in the volume (26-connected).
        probability: uint8, (z, y, x).
    """

    scores: Scores
    best: Scores
    instances_2d: InstanceScores
    instances_3d: InstanceScores
    probability: np.ndarray

    def to_mapping(self) -> dict[str, Any]:
        """The scores as JSON can hold them."""
        return {
            **asdict(self.scores),
            "best_threshold": self.best.threshold,
            "dice_at_best_threshold": self.best.dice,
            "instances_2d": asdict(self.instances_2d),
            "instances_3d": asdict(self.instances_3d),
        }


def evaluate(model: Model, volume: Volume) -> Evaluation:
    """Predicts the whole volume and compares it with the mask."""
    probability = model.predict(volume.raw)
    histogram = PooledHistogram()
    for section, mask in zip(model.without_small_objects(probability), volume.mask, strict=True):
        histogram.add(section, mask)
    prediction = model.segment(probability)
    return Evaluation(
        scores=histogram.scores(model.threshold),
        best=histogram.best(),
        instances_2d=match_sections(volume.mask, prediction),
        instances_3d=match_instances(volume.mask, prediction),
        probability=probability,
    )


def evaluate_files(
    model: Path,
    raw: Path,
    mask: Path,
    *,
    out: Path | None = None,
    voxel_size_nm: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Scores a model folder on a volume in files.

    Args:
        model: A model folder.
        raw: Image stack.
        mask: Mask stack.
        out: Gets `evaluation.json` and the overlays of the worst sections, where given.
        voxel_size_nm: Of the volume, (z, y, x), where the files do not say.

    Raises:
        InputError: A file cannot be used, in one line.
    """
    if out is not None and (out / CARD_FILE).exists():
        raise InputError(f"--out: expected no model folder, got {out}; choose another")
    volume = load_volume(raw, mask, voxel_size_nm=voxel_size_nm)
    loaded = load_model(model, precision=configure_device().precision)
    evaluation = evaluate(loaded, volume)
    scores = evaluation.to_mapping() | {
        "voxel_size_nm": volume.voxel_size_nm and list(volume.voxel_size_nm),
        "notes": [*volume.notes, *_notes_on_scale(loaded, volume)],
    }
    if out is not None:
        write_overlays(out, volume, loaded.segment(evaluation.probability), scores)
    return scores


def _notes_on_scale(model: Model, volume: Volume) -> list[str]:
    """A network knows its objects at one magnification."""
    trained, here = (model.card.get("data") or {}).get("voxel_size_nm"), volume.voxel_size_nm
    if not isinstance(trained, list) or here is None or _alike(trained, here):
        return []
    return [f"the model was trained on voxels of {trained} nm, this volume's are {list(here)} nm"]


def _alike(first: Sequence[float], second: Sequence[float]) -> bool:
    """Within 5 %, which no network minds."""
    return len(first) == len(second) and all(
        isinstance(a, int | float) and abs(a - b) <= 0.05 * b
        for a, b in zip(first, second, strict=True)
    )
