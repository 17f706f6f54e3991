"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path, typer.Argument(help="A TOML file, such as configs/quick.toml.")]
ModelFolder = Annotated[Path, typer.Argument(help="A folder that run or export wrote.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
RawInstead = Annotated[Path | None, typer.Option(help="Image stack in place of the config's.")]
MaskInstead = Annotated[Path | None, typer.Option(help="Mask stack in place of the config's.")]
Raw = Annotated[Path, typer.Option(help="Image stack.")]
Mask = Annotated[Path, typer.Option(help="Mask stack.")]
VoxelSize = Annotated[
    str | None,
    typer.Option("--voxel-size-nm", metavar="Z,Y,X", help="Where the files do not say."),
]
Share = Annotated[float, typer.Option(min=0.0, max=1.0, help="Of all epochs, from 0 to 1.")]


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
