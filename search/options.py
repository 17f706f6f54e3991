"""Arguments and options that several commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from trainer.windows import Windows

ConfigFile = Annotated[Path, typer.Argument(help="A TOML file, such as configs/quick.toml.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="SECTION.KEY=VALUE", help="In place of the config's; repeatable."
    ),
]
ModelFolder = Annotated[Path, typer.Argument(help="A folder that run or export wrote.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
RawInstead = Annotated[Path | None, typer.Option(help="Image stack in place of the config's.")]
MaskInstead = Annotated[Path | None, typer.Option(help="Mask stack in place of the config's.")]
Raw = Annotated[Path, typer.Option(help="Image stack.")]
Mask = Annotated[Path, typer.Option(help="Mask stack.")]
VoxelSize = Annotated[
    str | None,
    typer.Option("--voxel-size-nm", metavar="Z,Y,X", help="In place of what the files say."),
]
Window = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Predict in windows of so many voxels; by default as tuned, or as memory allows.",
    ),
]
Overlap = Annotated[
    float | None, typer.Option(help="Share of a window that the next one sees again; 0.5 if unset.")
]
Blend = Annotated[
    str | None, typer.Option(help="Of windows: taper, or mean for the plain mean over them.")
]


def parse_voxel_size(text: str | None) -> tuple[float, ...] | None:
    """Reads Z,Y,X in nm; whether it is a size is for whoever reads the files.

    Raises:
        InputError: It is no list of numbers.
    """
    from trainer.errors import InputError

    if not text:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--voxel-size-nm: expected Z,Y,X such as 5,5,5, got {text!r}") from None


def parse_sections(text: str | None) -> range | None:
    """Reads FIRST,END; whether the volume has them is for whoever reads it.

    Raises:
        InputError: It is no pair of numbers.
    """
    from trainer.errors import InputError

    if not text:
        return None
    try:
        first, end = (int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--sections: expected FIRST,END such as 145,165, got {text!r}") from None
    return range(first, end)


def parse_windows(window: int | None, overlap: float | None, blend: str | None) -> Windows | None:
    """The windows that were asked for, or None for whole sections where memory allows.

    Raises:
        InputError: A value cannot be used, or says how windows are that nobody asked for.
    """
    from trainer.errors import InputError
    from trainer.windows import Windows

    options = {"--overlap": overlap, "--blend": blend}
    given = [name for name, value in options.items() if value is not None]
    if window is None:
        if given:
            raise InputError(f"{given[0]}: expected together with --window; give that too")
        return None
    values: dict[str, Any] = {"overlap": overlap, "blend": blend}
    return Windows(window, **{name: each for name, each in values.items() if each is not None})


def print_json(value: Any) -> None:
    """Prints a result as one JSON value."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def refuse_without_labels(given: Mapping[str, Any]) -> None:
    """Refuses what probabilities alone do not depend on.

    Args:
        given: Options by their names; None for those that are not given.

    Raises:
        InputError: One is given.
    """
    from trainer.errors import InputError

    for name, value in given.items():
        if value is not None:
            raise InputError(
                f"{name}: only objects depend on it, and probabilities alone are written; "
                "add --labels"
            )
