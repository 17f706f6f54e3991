"""The sections of a small stack, and the line that refuses a file that is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainer.errors import InputError
from trainer.stack import read_stack

PIXELS = np.random.default_rng(0).integers(0, 255, (7, 20, 24), dtype=np.uint8)


def refusal(path: Path, role: str = "raw") -> str:
    with pytest.raises(InputError) as refused:
        read_stack(path, role=role)
    line = str(refused.value)
    assert line.startswith(f"{role} {path}: ")
    assert "\n" not in line
    return line
