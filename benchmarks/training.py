"""Images per second of training: this project, stock Keras and PyTorch, taking turns.

`python -m benchmarks.training` prints JSON as its last line. Each side has a process of its own,
trains a block of steps when it is its turn, and sleeps otherwise.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.side import Side, take_turns
from benchmarks.training_task import HYPERPARAMETERS

_STEPS = {"session": 20, "stock_keras": 6, "torch": 12}
"""Of a block: about as many seconds for each."""


_MODULE = "benchmarks.training_sides"


def measure(names: Sequence[str], blocks: int, times: int) -> dict[str, Any]:
    """Runs the sides in turns, and relates blocks of the same turn."""
    sides = {name: Side(name, _MODULE, [str(times * _STEPS[name])], "images") for name in names}
    take_turns(sides, blocks, "images")
    session = sides["session"]
    waited = [block["waited"] / block["seconds"] for block in session.blocks]
    return {
        "images_per_second": {
            name: round(sides[name].rate, 2) if name in sides else None for name in _STEPS
        },
        "ratio_stock_keras": session.times_as_fast(sides["stock_keras"]),
        "ratio_torch": session.times_as_fast(sides["torch"]) if "torch" in sides else None,
        "data_wait_share": round(statistics.median(waited), 4),
        "peak_rss_bytes": session.peak_rss_bytes,
        "sides": {name: side.told["ready"] for name, side in sides.items()},
        "matrix_rate": measure_matrix_rate(session.rate, blocks, times),
    }


def measure_matrix_rate(images_per_second: float, blocks: int, times: int) -> dict[str, Any]:
    """What share of the device's rate of multiplying matrices the session makes use of."""
    side = Side("matrix", _MODULE, [str(times)], "operations")
    take_turns({"matrix": side}, blocks, "operations")
    operations = side.blocks[-1]["per_image"]
    return {
        "operations_per_second": round(side.rate),
        "operations_per_image": round(operations),
        "share": round(images_per_second * operations / side.rate, 4),
        "of": side.told["ready"],
    }


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=7, help="turns of each side")
    parser.add_argument("--times", type=int, default=1, help="as many steps a block; 50 on a GPU")
    asked = parser.parse_args()
    blocks, times = asked.blocks, asked.times
    names, notes = list(_STEPS), []
    if importlib.util.find_spec("torch") is None:
        names.remove("torch")
        notes.append("torch is not installed (make install EXTRAS=bench): its side is left out")
    machine = describe_machine()
    figures = measure(names, blocks, times)
    run = {
        "network": HYPERPARAMETERS.to_mapping(),
        "blocks": blocks,
        "steps_a_block": {name: times * _STEPS[name] for name in names},
        "figures": "medians of blocks; ratios are medians over turns; validation is not counted",
        "notes": notes,
    }
    print(json.dumps({**figures, "machine": machine, "run": run}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
