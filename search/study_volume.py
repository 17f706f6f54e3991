"""One volume of a study, with the blocks of sections that it is divided into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from trainer.split import Split
from trainer.training_volume import TrainingVolume
from trainer.volume import Volume

_SEEN = 4


@dataclass(frozen=True, eq=False)
class StudyVolume:
    """A volume with its splits.

    Attributes:
        volume: Image and mask.
        split: The search's own.
        folds: Further ones, that finalists are repeated on.
        name: Tells it from the study's other volumes.
        origin: `to_json` of what it was before it was brought to another volume's voxels.
    """

    volume: Volume
    split: Split
    folds: tuple[Split, ...] = ()
    name: str = ""
    origin: Mapping[str, Any] | None = None

    @property
    def splits(self) -> tuple[Split, ...]:
        """All of them, by the number of the fold."""
        return (self.split, *self.folds)

    def for_training(
        self, train_on: Literal["train", "all"] = "train", fold: int = 0
    ) -> TrainingVolume:
        """The volume as a trial learns from it and is judged by it.

        Args:
            train_on: `train` sections, or `all` but the holdout and its gap. What was trained on
                cannot judge: then only a few sections are predicted, to see the run at work.
            fold: Which of the splits counts.
        """
        split = self.splits[fold]
        if train_on == "train":
            train, validation = split.train, split.validation
        else:
            train, validation = split.all, self._few(split.validation)
        return TrainingVolume.measure(self.volume, train, validation, self.name)

    def _few(self, sections: range) -> range:
        """Neighbours of a block, around the section that has the most foreground."""
        foreground = [np.count_nonzero(self.volume.mask[section]) for section in sections]
        middle = int(np.argmax(foreground))
        first = min(max(0, middle - _SEEN // 2), max(0, len(sections) - _SEEN))
        return sections[first : first + _SEEN]

    def to_json(self) -> dict[str, Any]:
        """What is kept with the study, to know the volume again."""
        split = self.split
        return {
            "sha256": self.volume.sha256,
            "raw_sha256": self.volume.raw_sha256,
            "shape": list(self.volume.raw.shape),
            "voxel_size_nm": self.volume.voxel_size_nm and list(self.volume.voxel_size_nm),
            "train": [split.train.start, split.train.stop],
            "validation": [split.validation.start, split.validation.stop],
            "holdout": split.holdout and [split.holdout.start, split.holdout.stop],
            "gap": split.gap,
            **({} if split.holdout_gap is None else {"holdout_gap": split.holdout_gap}),
            **({"file": dict(self.origin)} if self.origin else {}),
        }

    def describe(self) -> list[str]:
        """Lines that tell a person what is trained on."""
        sections, height, width = self.volume.raw.shape
        split, size = self.split, self.volume.voxel_size_nm
        voxels = " x ".join(f"{side:g}" for side in size) + " nm" if size else "of unknown size"
        held = f", held out {span(split.holdout)}" if split.holdout else ""
        beside = "" if split.holdout_gap is None else f", {split.holdout_gap} beside the held out"
        return [
            f"volume: {sections} sections of {height} x {width}, voxels {voxels}, "
            f"{self.volume.mask.mean():.2%} foreground",
            f"sections: train {span(split.train)}, validate {span(split.validation)}{held}, "
            f"gap {split.gap}{beside}",
            *(
                f"fold {number} of the finalists: train {span(fold.train)}, validate "
                f"{span(fold.validation)}"
                for number, fold in enumerate(self.folds, start=1)
            ),
            *self.volume.notes,
        ]


def span(block: range) -> str:
    """A block of sections in words."""
    return f"{block.start} to {block.stop - 1}"
