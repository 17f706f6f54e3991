"""What a network went by where it marked a region of a section, or did not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from scipy.special import expit

from trainer.activation_map import LevelResponse, count_bytes, respond
from trainer.ensemble import first_member
from trainer.errors import InputError
from trainer.explanation_page import build_explanation_page
from trainer.explanation_pictures import draw_filters, draw_map, draw_region
from trainer.filters import Filter, strongest_filters
from trainer.formats import open_source
from trainer.hyperparameters import Hyperparameters
from trainer.intensity import Intensity
from trainer.memory import check_memory
from trainer.model import Model, load_card, load_model
from trainer.neighbours import neighbours
from trainer.output_folder import OutputFolder
from trainer.overlay import encode_png
from trainer.region import Region
from trainer.sections import Sections
from trainer.voxel_size import VoxelSize, is_alike, trained_voxel_size

_RECORD = "explain.json"
_FILES = ("explain.html", "section.png", "map-*.png", "filters-*.png")
_LARGEST_SIDE = 1024  # gradients of all levels of a larger part would not fit everywhere
_MOST_HALVINGS = 3  # of that side, where memory is short
_BOX_ADVICE = "choose a smaller box, or use a machine with more memory"


@dataclass(frozen=True, eq=False)
class LevelExplanation:
    """One level of the network.

    Attributes:
        response: What it answered.
        filters: Those that stand out most in the region.
        activation_map: Seg-Grad-CAM in voxels, float32 (y, x); None on the way down, where
            features have yet to be combined.
        share_in_region: Of the map's sum.
    """

    response: LevelResponse
    filters: Sequence[Filter]
    activation_map: np.ndarray | None
    share_in_region: float | None


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a network answered to one region.

    Attributes:
        section: Its number.
        region: In voxels of the section.
        window: The part of the section that the network was shown.
        gray: That part, uint8 (y, x).
        foreground: What the model calls foreground there, 0 or 1, (y, x).
        probability: Mean over the region.
        levels: In the order in which the section passes through them.
    """

    section: int
    region: Region
    window: Region
    gray: np.ndarray
    foreground: np.ndarray
    probability: float
    levels: Sequence[LevelExplanation]

    @property
    def shown_region(self) -> Region:
        """The region within the window."""
        return self.region.moved(self.window.y0, self.window.x0)

    @property
    def foreground_share(self) -> float:
        """Of the region, at the model's threshold."""
        return float(self.foreground[self.shown_region.slices].mean())

    @property
    def area_share(self) -> float:
        """The region's share of the window."""
        return self.foreground[self.shown_region.slices].size / self.foreground.size

    def to_mapping(self) -> dict[str, Any]:
        """The numbers as JSON can hold them; places are (y, x) in voxels of the section."""
        return {
            "section": self.section,
            "box": _corners(self.region),
            "window": _corners(self.window),
            "mean_probability": self.probability,
            "foreground_share": self.foreground_share,
            "levels": [self._level(level) for level in self.levels],
        }

    def _level(self, level: LevelExplanation) -> dict[str, Any]:
        factor = level.response.factor
        origin = np.array([self.window.y0, self.window.x0])
        return {
            "level": level.response.name,
            "voxels_per_cell": factor,
            "filters": level.response.response.shape[-1],
            "map_share_in_box": level.share_in_region,
            "strongest": [
                {
                    "filter": each.number,
                    "stands_out": each.stands_out,
                    "mean_in_box": each.mean_in_region,
                    "mean_in_section": each.mean_in_section,
                    "effect": each.effect,
                    "answers_most_at": [
                        (np.array(peak) * factor + factor // 2 + origin).tolist()
                        for peak in each.peaks
                    ],
                }
                for each in level.filters
            ],
        }


def explain(model: Model, raw: Sections, section: int, region: Region) -> Explanation:
    """Looks for what the network went by in a region.

    Args:
        model: A single 2D U-Net, loaded in float32.
        raw: The volume, (z, y, x), or its sections by their number.
        section: Number of the section.
        region: In voxels of the section.

    Raises:
        InputError: Section or region lie outside the volume, the network is of another kind, or
            there is too little memory.
    """
    _check_place(raw, section, region)
    window = _choose_window(model, raw.shape, region)
    intensity = Intensity.measure_sections(raw)
    shown = region.moved(window.y0, window.x0)
    image = _image(model, raw, section, window, intensity)
    answer = respond(model.network, image, shown.slices)
    size = window.y1 - window.y0, window.x1 - window.x0
    probability = expit(answer.logits[: size[0], : size[1]])
    return Explanation(
        section=section,
        region=region,
        window=window,
        gray=intensity.to_gray(raw[section][window.slices]),
        foreground=(probability >= model.threshold).astype(np.uint8),
        probability=float(probability[shown.slices].mean()),
        levels=[_explain_level(level, shown, size) for level in answer.levels],
    )


def explain_files(
    model: Path, raw: Path, section: int, region: Region, out: Path
) -> dict[str, Any]:
    """Explains a region of a stack in files.

    Args:
        model: A model folder.
        raw: Image stack.
        section: Number of the section, from 0.
        region: In voxels of the section.
        out: Gets `explain.html`, `explain.json` and the pictures.

    Returns:
        What `explain.json` holds: `{model, raw, section, box, window, mean_probability,
        foreground_share, levels, notes, files}`, each level as `{level, voxels_per_cell, filters,
        map_share_in_box, strongest}`.

    Raises:
        InputError: A file cannot be used, in one line.
    """
    from trainer.device import configure_device

    folder = OutputFolder(out, _RECORD, _FILES)
    folder.check()
    _check_kind(model)
    with open_source(raw) as volume:
        _check_place(volume, section, region)
        configure_device()
        loaded = load_model(model, stock=True)
        explanation = explain(first_member(loaded), volume, section, region)
        notes = list(_compare_voxels(trained_voxel_size(loaded.card), volume.voxel_size_nm))
        notes += _compare_window(explanation, volume.shape)
    pictures = _draw(explanation)
    notes += _compare_segmentation(loaded)
    if loaded.members:
        notes.append(f"the model is the mean of {len(loaded.members)} networks: this is the first")
    facts = {"model": str(model), "raw": str(raw), **explanation.to_mapping(), "notes": notes}
    folder.prepare()
    page = build_explanation_page(explanation, str(model), str(raw), pictures, notes)
    files = {f"{name}.png": encode_png(picture) for name, picture in pictures.items()}
    return folder.write(facts, {**files, "explain.html": page})


def _compare_voxels(trained: VoxelSize | None, here: VoxelSize | None) -> Iterator[str]:
    """What other voxels than the model's make of an explanation."""
    if trained and here and not is_alike(here[1:], trained[1:]):
        yield (
            f"the model was trained on voxels of {trained[1]:g} x {trained[2]:g} nm (y x x), the "
            f"volume's are {here[1]:g} x {here[2]:g} nm: explained as they are, where `predict` "
            "would resample them first"
        )


def _compare_segmentation(model: Model) -> Iterator[str]:
    """What `predict` does beyond the network's own answer."""
    steps = [
        *(["a median along z"] if model.z_median > 1 else []),
        *(["the mean over flips and turns"] if model.views > 1 else []),
        *(["dropping small objects"] if model.smallest_object_voxels > 1 else []),
    ]
    if steps:
        yield f"explained is what the network itself says; `predict` adds {', '.join(steps)}"


def _compare_window(explanation: Explanation, shape: tuple[int, ...]) -> Iterator[str]:
    """What too little memory makes of an explanation."""
    seen = explanation.window
    if seen != explanation.region.window(shape[1], shape[2], _LARGEST_SIDE):
        yield (
            f"the network was shown {seen.y1 - seen.y0} x {seen.x1 - seen.x0} voxels (y x x) "
            "around the box, since there is no memory for the gradients of more"
        )


def _check_kind(folder: Path) -> None:
    """Refuses what cannot be explained before anything is read but the card."""
    card = load_card(folder)
    first, *_ = card.get("members") or (card["hyperparameters"],)
    if Hyperparameters.from_mapping(first).is_3d:
        raise InputError(
            f"{folder}: expected a 2D network, whose filters and maps are of a section, got a 3D "
            "one; write a 2D trial with `unet-search export CONFIG --trial N --out DIR` and "
            "explain that"
        )


def _check_place(raw: Sections, section: int, region: Region) -> None:
    if not 0 <= section < len(raw):
        raise InputError(f"--section: expected 0 to {len(raw) - 1}, got {section}")
    height, width = raw.shape[1:]
    region.check_within(height, width)


def _choose_window(model: Model, shape: tuple[int, ...], region: Region) -> Region:
    """The section or a part around the box, smaller where there is no memory for its gradients.

    Raises:
        InputError: There is too little for the box alone.
    """
    refusal: InputError | None = None
    for side in (_LARGEST_SIDE >> halvings for halvings in range(_MOST_HALVINGS + 1)):
        window = region.window(shape[1], shape[2], side)
        try:
            check_memory(_count_bytes(model, window), _BOX_ADVICE)
        except InputError as error:
            refusal = error
        else:
            return window
    raise InputError(f"--box: {refusal}")


def _count_bytes(model: Model, window: Region) -> int:
    step = model.hyperparameters.halvings
    sides = (window.y1 - window.y0, window.x1 - window.x0)
    height, width = (-(-side // step) * step for side in sides)
    return count_bytes(model.network, height, width)


def _image(
    model: Model, raw: Sections, section: int, window: Region, intensity: Intensity
) -> np.ndarray:
    """The window with its neighbours as channels, mirrored to a size that the network takes."""
    hyperparameters = model.hyperparameters
    near = neighbours(section, hyperparameters.section_offsets, range(len(raw)))
    seen = intensity.scale(np.stack([raw[number][window.slices] for number in near], axis=-1))
    height, width = seen.shape[:2]
    halvings = hyperparameters.halvings
    mode: Literal["reflect", "edge"] = "reflect" if min(height, width) > halvings else "edge"
    padded = np.pad(seen, ((0, -height % halvings), (0, -width % halvings), (0, 0)), mode=mode)
    return padded[np.newaxis]


def _explain_level(level: LevelResponse, region: Region, size: tuple[int, int]) -> LevelExplanation:
    filters = strongest_filters(level.within(size), region)
    if level.name.startswith("down"):
        return LevelExplanation(level, filters, None, None)
    cells = level.activation_map
    height, width = (side * level.factor for side in cells.shape)
    whole = cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR)
    strength = whole[: size[0], : size[1]]
    total = float(strength.sum())
    share = float(strength[region.slices].sum()) / total if total > 0 else None
    return LevelExplanation(level, filters, strength, share)


def _draw(explanation: Explanation) -> dict[str, np.ndarray]:
    """The pictures by name, RGB, uint8 (y, x, 3)."""
    gray, region = explanation.gray, explanation.shown_region
    pictures = {"section": draw_region(gray, region, explanation.foreground)}
    for level in explanation.levels:
        name = level.response.name
        if level.activation_map is not None:
            pictures[f"map-{name}"] = draw_map(gray, level.activation_map, region)
        pictures[f"filters-{name}"] = draw_filters(
            gray, region, level.filters, level.response.factor
        )
    return pictures


def _corners(region: Region) -> list[int]:
    return [region.y0, region.x0, region.y1, region.x1]
