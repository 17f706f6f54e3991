"""A trial's scores as TensorBoard reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import SummaryWriter


class EventFile:
    """Writes one trial's epochs to `folder/00012`; a trial that goes on adds a file of its own."""

    def __init__(self, folder: Path, trial: int, params: Mapping[str, Any]) -> None:
        """Begins a file.

        Args:
            folder: Of the study's event files.
            trial: Its number.
            params: What is trained, to be read beside the curves.
        """
        self._writer = SummaryWriter(str(folder / f"{trial:05d}"), flush_secs=1)
        table = "".join(f"| {name} | {value} |\n" for name, value in params.items())
        self._writer.add_text("params", f"| name | value |\n|---|---|\n{table}")

    def write(self, epoch: int, scores: Mapping[str, float], picture: np.ndarray) -> None:
        """Adds an epoch, on disk within a second.

        Args:
            epoch: Done so far.
            scores: By name.
            picture: RGB, uint8 (y, x, 3).
        """
        for name, value in scores.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.add_image("section", picture, epoch, dataformats="HWC")

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()
