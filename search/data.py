"""The volumes of a study and their splits, as its config says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search.config import Config
from search.config_sections import DataConfig, PhantomConfig
from search.start import find_earlier_model
from search.study_volume import StudyVolume, span
from trainer.earlier_model import EarlierModel
from trainer.errors import InputError
from trainer.phantom import build_phantom
from trainer.rescale import rescale_split, rescale_volume
from trainer.split import Split, fold_sections, measure_guard_gap, split_sections
from trainer.stack import write_stack
from trainer.volume import Volume, load_volume
from trainer.voxel_size import VoxelSize, is_alike


@dataclass(frozen=True, eq=False)
class StudyData:
    """What a study learns from.

    Attributes:
        volumes: Each with its splits, one at least; all have the first one's voxel size.
        earlier: The model whose weights it goes on from, where there is one.
    """

    volumes: tuple[StudyVolume, ...]
    earlier: EarlierModel | None = None

    @property
    def voxel_size_nm(self) -> VoxelSize | None:
        """Of all volumes, z, y, x, where it is known."""
        return self.volumes[0].volume.voxel_size_nm

    def to_json(self) -> dict[str, Any]:
        """What is kept with the study, to know the data again."""
        if len(self.volumes) == 1:
            return self.volumes[0].to_json()
        size = self.voxel_size_nm
        volumes = [{"name": each.name, **each.to_json()} for each in self.volumes]
        return {"voxel_size_nm": size and list(size), "volumes": volumes}

    def describe(self) -> list[str]:
        """Lines that tell a person what is trained on."""
        several = len(self.volumes) > 1
        lines = [
            f"{each.name}: {line}" if several else line
            for each in self.volumes
            for line in each.describe()
        ]
        return lines + (_describe_earlier(self.earlier, self.voxel_size_nm) if self.earlier else [])


def load_data(config: Config) -> StudyData:
    """Reads or makes the volumes, splits them, and finds the model to go on from.

    Raises:
        InputError: A file or a value that cannot be used, in one line.
    """
    earlier = find_earlier_model(config.planned_starts())
    volumes = [_load(config, table) for table in config.volumes]
    wanted = volumes[0].volume.voxel_size_nm
    space = config.build_space()
    volumes[1:] = [
        _at_voxel_size(each, wanted, along_z=space.sees_neighbours()) for each in volumes[1:]
    ]
    for each in volumes:
        _check_tiles(config, each)
    # What the space does not hold of the model is refused before anything is written.
    config.starts(space.for_voxels(wanted), earlier)
    return StudyData(tuple(volumes), earlier)


def _load(config: Config, table: DataConfig) -> StudyVolume:
    try:
        return _split(config, table, _load_volume(table))
    except InputError as error:
        if len(config.volumes) == 1:
            raise
        raise InputError(f"data, {table.name}: {error}") from None


def _split(config: Config, table: DataConfig, volume: Volume) -> StudyVolume:
    wanted = table.split(config.split)
    # What is said of all volumes counts for those that hold something out.
    said = wanted if len(config.volumes) == 1 else table
    if wanted.holdout is None and said.holdout_gap is not None:
        raise InputError(
            f"holdout_gap = {said.holdout_gap}: expected a holdout beside it, got none; name its "
            "sections, or leave the gap out"
        )
    split = split_sections(
        len(volume.raw),
        validation=wanted.validation,
        gap=measure_guard_gap(volume.raw) if wanted.gap == "auto" else wanted.gap,
        holdout=wanted.holdout,
        holdout_gap=wanted.holdout_gap,
    )
    loaded = StudyVolume(volume, split, _fold(split, config)[1:], str(table.name))
    _check_splits(loaded, "move them with split.validation and split.holdout")
    return loaded


def _at_voxel_size(loaded: StudyVolume, wanted: VoxelSize | None, *, along_z: bool) -> StudyVolume:
    """A network knows its objects at one magnification; one of single sections, in their plane."""
    volume, own = loaded.volume, loaded.volume.voxel_size_nm
    if own is None or wanted is None:
        note = "the voxel size of this volume or of the first one is unknown: taken as it is"
        return replace(loaded, volume=replace(volume, notes=(*volume.notes, note)))
    if not along_z:
        wanted = (own[0], *wanted[1:])
    if is_alike(own, wanted):
        return loaded
    try:
        rescaled = rescale_volume(volume, wanted)
        before, after = len(volume.raw), len(rescaled.raw)
        split, *folds = (rescale_split(each, before, after) for each in loaded.splits)
    except InputError as error:
        raise InputError(f"data, {loaded.name}: {error}") from None
    resampled = replace(
        loaded, volume=rescaled, split=split, folds=tuple(folds), origin=loaded.to_json()
    )
    try:
        _check_splits(resampled, "at these voxels its objects are too small")
    except InputError as error:
        raise InputError(f"data, {loaded.name}: {error}") from None
    return resampled


def _describe_earlier(earlier: EarlierModel, size: VoxelSize | None) -> list[str]:
    lines = [f"weights: begin with those of {earlier.folder} ({earlier.sha256[:12]})"]
    if earlier.voxel_size_nm and size and not is_alike(earlier.voxel_size_nm, size):
        lines.append(
            f"weights: learned on voxels of {list(earlier.voxel_size_nm)} nm, these are "
            f"{list(size)} nm"
        )
    return lines


def _fold(split: Split, config: Config) -> tuple[Split, ...]:
    if config.finalists.count == 1:
        return (split,)
    try:
        return fold_sections(split, config.finalists.folds)
    except InputError as error:
        raise InputError(f"finalists.{error}") from None


def _load_volume(data: DataConfig) -> Volume:
    if data.phantom is not None:
        phantom = data.phantom
        return build_phantom(phantom.sections, phantom.height, phantom.width, phantom.seed)
    if data.raw is None or data.mask is None:
        raise InputError("data: expected both raw and mask, or a phantom")
    return load_volume(data.raw, data.mask, voxel_size_nm=data.voxel_size_nm)


def _check_splits(loaded: StudyVolume, remedy: str) -> None:
    _check_blocks(loaded.volume, loaded.split, "split", remedy)
    for fold in loaded.folds:
        _check_blocks(loaded.volume, fold, "finalists.folds", f"{remedy}, or ask for fewer folds")


def _check_blocks(volume: Volume, split: Split, key: str, remedy: str) -> None:
    """Without foreground in both, nothing can be learned or nothing told."""
    for name, block in (("training", split.train), ("validation", split.validation)):
        if not volume.mask[block.start : block.stop].any():
            raise InputError(
                f"{key}: expected foreground in the {name} sections {span(block)}, found none; "
                f"{remedy}"
            )


def _check_tiles(config: Config, loaded: StudyVolume) -> None:
    """Every tile has to fit into the sections that are trained on."""
    space, (height, width) = config.build_space(), loaded.volume.raw.shape[1:]
    which = f" of {loaded.name}" if len(config.volumes) > 1 else ""
    if space.largest_tile() > min(height, width):
        raise InputError(
            f"space.tile_size: expected at most {min(height, width)}, the shorter side of the "
            f"sections{which} ({height} x {width}), got {space.largest_tile()}; "
            "set a smaller tile_size"
        )
    train = min((split.train for split in loaded.splits), key=len)
    if space.deepest_tile() > len(train):
        raise InputError(
            f"space.tile_sections: expected at most {len(train)}, the sections{which} to train on "
            f"({span(train)}), got {space.deepest_tile()}; set fewer tile_sections, or "
            "leave more sections to training with [split]"
        )


@dataclass(frozen=True)
class Unseen:
    """What no trial has seen, to test the model of a study on.

    Attributes:
        raw: File of the image.
        mask: File of the mask.
        sections: Of them, those that were held out; None for all.
    """

    raw: Path
    mask: Path
    sections: tuple[int, int] | None = None


def find_unseen(config: Config) -> Unseen | None:
    """The first volume's held-out sections; of a synthetic study a second volume, written here.

    Returns:
        None where nothing was held out.
    """
    first = config.volumes[0]
    if first.phantom is not None:
        return _write_phantom(config, first.phantom)
    held = first.split(config.split).holdout
    if held is None or first.raw is None or first.mask is None:
        return None
    return Unseen(Path(first.raw), Path(first.mask), held)


def _write_phantom(config: Config, phantom: PhantomConfig) -> Unseen:
    volume = build_phantom(phantom.sections, phantom.height, phantom.width, phantom.seed + 1)
    folder = config.folder / "unseen"
    folder.mkdir(parents=True, exist_ok=True)
    raw, mask = folder / "raw.tif", folder / "mask.tif"
    write_stack(raw, volume.raw, volume.voxel_size_nm)
    write_stack(mask, volume.mask, volume.voxel_size_nm)
    return Unseen(raw, mask)
