"""The smallest configuration that a search can run by, to be changed where a test needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.config import Config

TABLE: dict[str, Any] = {
    "study": {"name": "mito", "epochs_per_trial": 3, "tiles_per_epoch": 10, "seed": 5},
    "budget": {"trials": 4},
    "data": {"phantom": {"sections": 12, "height": 32, "width": 32, "seed": 1}},
    "split": {"gap": 1},
    "workers": {"where": "inline"},
    "finalists": {"count": 1},
    "space": {
        "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "loss": ["bce", "dice"],
        "depth": 2,
        "tile_size": 16,
    },
}


def build_config(runs: Path, **sections: Any) -> Config:
    """The small configuration; a section that is given adds to its own or takes its place."""
    table = {name: dict(section) for name, section in TABLE.items()}
    table["study"]["runs"] = str(runs)
    for name, section in sections.items():
        replaced = name in ("space", "data", "start", "change")
        table[name] = section if replaced else {**table.get(name, {}), **section}
    return Config.model_validate(table)
