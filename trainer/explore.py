"""The exploratory analysis of a volume, as one page, its figures, and a JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainer.errors import InputError
from trainer.exploration import Exploration, measure_volume
from trainer.exploration_exhibits import PICTURE_NAMES, draw_exhibits
from trainer.exploration_page import render_page
from trainer.output_folder import unwritable
from trainer.replacement import make_room, replace_folder
from trainer.volume import load_raw, load_volume

FACTS_FILE = "explore.json"
PAGE_FILE = "explore.html"


def explore_files(
    raw: Path,
    mask: Path | None,
    out: Path,
    *,
    voxel_size_nm: Sequence[float] | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Explores a volume in files; the folder is written whole or not at all.

    Args:
        raw: Image stack.
        mask: Mask stack, where there is one.
        out: Gets `explore.json`, `explore.html` and the figures as PNG files; an older exploration
            in its place is replaced.
        voxel_size_nm: Of the volume, (z, y, x), where the files do not say.
        announce: Is told what is being done.

    Returns:
        What stands in `explore.json`.

    Raises:
        InputError: A file cannot be used, or the folder holds something else, in one line.
    """
    with _explained(out):
        _check_replaceable(out)
        make_room(out)
    announce("reading the volume")
    exploration = _load_and_measure(raw, mask, voxel_size_nm, announce)
    announce("drawing")
    facts = exploration.to_mapping()
    pictures = list(draw_exhibits(exploration))
    page = render_page(
        f"Exploration of {raw.name}",
        _lead(exploration, mask),
        table_rows(facts),
        [(finding.check, finding.message) for finding in exploration.findings],
        pictures,
        [(each.check, each.reason) for each in exploration.unchecked],
    )
    with _explained(out), replace_folder(out) as new:
        for picture in pictures:
            (new / f"{picture.name}.png").write_bytes(picture.png)
        (new / PAGE_FILE).write_bytes(page)
        (new / FACTS_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts


@contextmanager
def _explained(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(out, error.strerror) from None


def table_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The main numbers of `explore.json` as names and values for a person."""
    size = facts["voxel_size_nm"]
    rows = [
        ("sections x rows x columns", " x ".join(f"{side:,}" for side in facts["shape"])),
        ("voxel, nm (z, y, x)", ", ".join(f"{edge:g}" for edge in size) if size else "unknown"),
        ("guard gap between training and validation, sections", f"{facts['guard_gap_sections']}"),
    ]
    if facts["objects_2d"] is None:
        return rows
    area, volume = facts["mean_area_nm2"], facts["mean_volume_nm3"]
    return [
        *rows,
        ("foreground", f"{facts['foreground_fraction']:.2%}"),
        ("objects in the sections (8-connected)", f"{facts['objects_2d']:,}"),
        ("objects in the volume (26-connected)", f"{facts['objects_3d']:,}"),
        ("of them at the border, cut perhaps", f"{facts['objects_3d_at_border']:,}"),
        ("mean area", f"{facts['mean_area_voxels']:,.1f} voxels{_nm(area, '²')}"),
        ("mean volume", f"{facts['mean_volume_voxels']:,.1f} voxels{_nm(volume, '³')}"),
        ("tile size that suits them", f"{facts['tile_size']}"),
        ("tiles of that size without foreground", f"{facts['empty_tile_share']:.1%}"),
        ("best Dice of a mere threshold", f"{facts['threshold_dice']:.3f}"),
    ]


def _nm(value: float | None, power: str) -> str:
    return "" if value is None else f", {value:,.1f} nm{power}"


def _load_and_measure(
    raw: Path,
    mask: Path | None,
    voxel_size_nm: Sequence[float] | None,
    announce: Callable[[str], None],
) -> Exploration:
    if mask is None:
        stack = load_raw(raw, voxel_size_nm)
        return measure_volume(stack.array, None, stack.voxel_size_nm, announce=announce)
    volume = load_volume(raw, mask, voxel_size_nm)
    return measure_volume(
        volume.raw, volume.mask, volume.voxel_size_nm, notes=volume.notes, announce=announce
    )


def _lead(exploration: Exploration, mask: Path | None) -> str:
    with_mask = (
        f"With the mask {mask.name}."
        if mask
        else ("Without a mask: objects, thresholds and the tile size are not known.")
    )
    return " ".join([with_mask, *(f"Note: {note}." for note in exploration.notes)])


def _check_replaceable(folder: Path) -> None:
    """Only an exploration is ever replaced: never a folder that holds something else."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out: expected a folder, got the file {folder}; choose another name")
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    own = {FACTS_FILE, PAGE_FILE, *(f"{name}.png" for name in PICTURE_NAMES)}
    foreign = names - own
    if foreign or (names and FACTS_FILE not in names):
        raise InputError(
            f"--out: expected a new or empty folder or an older exploration, {folder} holds "
            f"{min(foreign or names)}; choose another name"
        )
