"""Images per second of training by the stride of the network's stem, taking turns.

`python -m benchmarks.stem_stride` prints JSON as its last line: the session of the training
benchmark, with as many voxels folded into one before the first level.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.side import Side, serve, take_turns
from benchmarks.training_sides import build_session_block
from benchmarks.training_task import HYPERPARAMETERS

STRIDES = (1, 2, 4)
_STEPS = 10


def measure(blocks: int) -> dict[str, Any]:
    """Trains with each stride in turns, and relates blocks of the same turn.

    Args:
        blocks: Turns of each.
    """
    sides = {str(each): Side(str(each), "benchmarks.stem_stride", [], "images") for each in STRIDES}
    take_turns(sides, blocks, "images")
    return {
        "images_per_second": {stride: round(side.rate, 2) for stride, side in sides.items()},
        "times_as_fast": {stride: side.times_as_fast(sides["1"]) for stride, side in sides.items()},
        "peak_rss_bytes": {stride: side.peak_rss_bytes for stride, side in sides.items()},
        "device": sides["1"].told["ready"],
    }


def main() -> None:
    """Measures and prints; with a stride, serves its side."""
    if sys.argv[1:] and sys.argv[1] in map(str, STRIDES):
        run = replace(HYPERPARAMETERS, stem_stride=int(sys.argv[1]))
        block, description = build_session_block(_STEPS, run)
        serve(block, {"ready": description})
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=5, help="turns of each side")
    blocks = parser.parse_args().blocks
    figures = measure(blocks)
    run_facts = {"network": HYPERPARAMETERS.to_mapping(), "blocks": blocks, "steps": _STEPS}
    print(json.dumps({**figures, "machine": describe_machine(), "run": run_facts}))


if __name__ == "__main__":
    main()
