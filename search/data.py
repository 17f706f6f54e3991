"""The volume of a study and its split, as its config says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.config import Config
from trainer.errors import InputError
from trainer.phantom import build_phantom
from trainer.split import Split, fold_sections, measure_guard_gap, split_sections
from trainer.stack import write_stack
from trainer.volume import Volume, load_volume


@dataclass(frozen=True, eq=False)
class StudyData:
    """A volume with its split.

    Attributes:
        volume: Image and mask.
        split: The search's own.
        folds: Further ones, that finalists are repeated on.
    """

    volume: Volume
    split: Split
    folds: tuple[Split, ...] = ()

    @property
    def splits(self) -> tuple[Split, ...]:
        """All of them, by the number of the fold."""
        return (self.split, *self.folds)

    def to_json(self) -> dict[str, Any]:
        """What is kept with the study, to know the data again."""
        split = self.split
        return {
            "sha256": self.volume.sha256,
            "shape": list(self.volume.raw.shape),
            "voxel_size_nm": self.volume.voxel_size_nm and list(self.volume.voxel_size_nm),
            "train": [split.train.start, split.train.stop],
            "validation": [split.validation.start, split.validation.stop],
            "holdout": split.holdout and [split.holdout.start, split.holdout.stop],
            "gap": split.gap,
        }

    def describe(self) -> list[str]:
        """Lines that tell a person what is trained on."""
        sections, height, width = self.volume.raw.shape
        split, size = self.split, self.volume.voxel_size_nm
        voxels = " x ".join(f"{side:g}" for side in size) + " nm" if size else "of unknown size"
        held = f", held out {_span(split.holdout)}" if split.holdout else ""
        return [
            f"volume: {sections} sections of {height} x {width}, voxels {voxels}, "
            f"{self.volume.mask.mean():.2%} foreground",
            f"sections: train {_span(split.train)}, validate {_span(split.validation)}{held}, "
            f"gap {split.gap}",
            *(
                f"fold {number} of the finalists: train {_span(fold.train)}, validate "
                f"{_span(fold.validation)}"
                for number, fold in enumerate(self.folds, start=1)
            ),
            *self.volume.notes,
        ]


def load_data(config: Config) -> StudyData:
    """Reads or makes the volume, and splits it.

    Raises:
        InputError: A file or a value that cannot be used, in one line.
    """
    volume = _load_volume(config)
    gap = config.split.gap
    split = split_sections(
        len(volume.raw),
        validation=config.split.validation,
        gap=measure_guard_gap(volume.raw) if gap == "auto" else gap,
        holdout=config.split.holdout,
    )
    folds = _fold(split, config)
    _check_blocks(volume, split, "split", "move them with split.validation and split.holdout")
    for fold in folds[1:]:
        _check_blocks(volume, fold, "finalists.folds", "ask for fewer folds")
    for fold in folds:
        _check_tiles(config, volume, fold)
    return StudyData(volume, split, folds[1:])


def _fold(split: Split, config: Config) -> tuple[Split, ...]:
    if config.finalists.count == 1:
        return (split,)
    try:
        return fold_sections(split, config.finalists.folds)
    except InputError as error:
        raise InputError(f"finalists.{error}") from None


def _load_volume(config: Config) -> Volume:
    data = config.data
    if data.phantom is not None:
        phantom = data.phantom
        return build_phantom(phantom.sections, phantom.height, phantom.width, phantom.seed)
    if data.raw is None or data.mask is None:
        raise InputError("data: expected both raw and mask, or a phantom")
    return load_volume(data.raw, data.mask, voxel_size_nm=data.voxel_size_nm)


def _check_blocks(volume: Volume, split: Split, key: str, remedy: str) -> None:
    """Without foreground in both, nothing can be learned or nothing told."""
    for name, block in (("training", split.train), ("validation", split.validation)):
        if not volume.mask[block.start : block.stop].any():
            raise InputError(
                f"{key}: expected foreground in the {name} sections {_span(block)}, found none; "
                f"{remedy}"
            )


def _check_tiles(config: Config, volume: Volume, split: Split) -> None:
    """Every tile has to fit into the sections that are trained on."""
    space, side = config.build_space(), min(volume.raw.shape[1:])
    if space.largest_tile() > side:
        raise InputError(
            f"space.tile_size: expected at most {side}, the shorter side of the sections "
            f"({volume.raw.shape[1]} x {volume.raw.shape[2]}), got {space.largest_tile()}; "
            "set a smaller tile_size"
        )
    if space.deepest_tile() > len(split.train):
        raise InputError(
            f"space.tile_sections: expected at most {len(split.train)}, the sections to train on "
            f"({_span(split.train)}), got {space.deepest_tile()}; set fewer tile_sections, or "
            "leave more sections to training with [split]"
        )


def _span(block: range) -> str:
    return f"{block.start} to {block.stop - 1}"


def write_unseen_phantom(config: Config) -> tuple[Path, Path] | None:
    """Writes a second synthetic volume, for the first evaluation of a new user.

    Returns:
        The files of image and mask, or None for a study on real data.
    """
    if config.data.phantom is None:
        return None
    phantom = config.data.phantom
    volume = build_phantom(phantom.sections, phantom.height, phantom.width, phantom.seed + 1)
    folder = config.folder / "unseen"
    folder.mkdir(parents=True, exist_ok=True)
    raw, mask = folder / "raw.tif", folder / "mask.tif"
    write_stack(raw, volume.raw, volume.voxel_size_nm)
    write_stack(mask, volume.mask, volume.voxel_size_nm)
    return raw, mask
