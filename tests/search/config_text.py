"""The text of a small configuration file, to be changed and to be refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search.config import load_config
from trainer.errors import InputError

SMALL = """
[study]
name = "mito"
epochs_per_trial = 3
tiles_per_epoch = 10

[budget]
trials = 4

[data]
phantom = { sections = 24, height = 64, width = 64 }

[space]
learning_rate = { low = 1e-4, high = 1e-2, log = true }
depth = 2
tile_size = 32
"""
RAW = 'raw = "a.tif"\nmask = "b.tif"'
PHANTOM = "phantom = { sections = 24, height = 64, width = 64 }"
SETTINGS = '"mito"'


def changed(*replacements: tuple[str, str], more: str = "") -> str:
    text = SMALL
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return text + more


def refusal(path: Path, text: str, **changes: Any) -> str:
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_config(path, **changes)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def listed(*tables: str, more: str = "") -> str:
    volumes = "\n".join(f"[[data]]\n{table}" for table in tables)
    return changed((f"[data]\n{PHANTOM}", volumes), more=more)
