"""A configuration to type commands about, and what a command answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

PHANTOM = "phantom = { sections = 12, height = 32, width = 32 }"
CONFIG = f"""
[study]
name = "mito"
epochs_per_trial = 3
tiles_per_epoch = 10
[budget]
trials = 4
[data]
{PHANTOM}
[split]
gap = 1
[workers]
where = "inline"
[space]
learning_rate = {{ low = 1e-4, high = 1e-2, log = true }}
depth = 2
tile_size = 16
"""
FILES = CONFIG.replace(PHANTOM, 'raw = "raw.tif"\nmask = "mask.tif"')


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Call = Callable[..., Answer]


def refusal(answer: Answer) -> str:
    """The one line of a command that was given something wrong.

    Args:
        answer: Of the command.
    """
    assert answer.code == 2
    assert answer.out == ""
    lines = answer.err.splitlines()
    assert len(lines) == 1
    assert lines[-1].startswith("unet-search: ")
    assert "Traceback" not in answer.err
    assert answer.err.count("unet-search: ") == 1
    return lines[-1].removeprefix("unet-search: ")
