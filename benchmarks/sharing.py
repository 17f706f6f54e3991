"""Images per second of several trainings that share a device.

`python -m benchmarks.sharing` prints JSON as its last line. Each training is the project's own
session in a process of its own, as the workers of a search are; all of them work at once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.side import Side
from benchmarks.training_task import HYPERPARAMETERS


def measure(numbers: Sequence[int], blocks: int, steps: int) -> dict[str, Any]:
    """Each number of trainings at once, block by block; the others sleep meanwhile."""
    module = "benchmarks.training_sides"
    sides = [Side("session", module, [str(steps)], "images") for _ in range(max(numbers))]
    for side in sides:
        side.await_ready()
    shared = {}
    for number in numbers:
        shared[str(number)] = _measure_together(sides[:number], blocks)
        print(f"{number}: {shared[str(number)]}", file=sys.stderr, flush=True)
    for side in sides:
        side.end()
    return {"trainings": shared, "device": sides[0].told["ready"]}


def _measure_together(sides: Sequence[Side], blocks: int) -> dict[str, float]:
    before = [len(side.blocks) for side in sides]
    for _ in range(blocks):
        for side in sides:
            side.begin_turn()
        for side in sides:
            side.await_turn()
    own = [side.blocks[first:] for side, first in zip(sides, before, strict=True)]
    together = [
        sum(block["images"] / block["seconds"] for block in turn) for turn in zip(*own, strict=True)
    ]
    waited = [block["waited"] / block["seconds"] for blocks in own for block in blocks]
    return {
        "images_per_second": round(statistics.median(together), 2),
        "data_wait_share": round(statistics.median(waited), 4),
    }


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trainings", type=int, nargs="+", default=[1, 2, 4], help="at once")
    parser.add_argument("--blocks", type=int, default=5, help="turns of each number")
    parser.add_argument("--steps", type=int, default=20, help="of a block")
    asked = parser.parse_args()
    machine = describe_machine()
    shared = measure(asked.trainings, asked.blocks, asked.steps)
    run = {"network": HYPERPARAMETERS.to_mapping(), "blocks": asked.blocks, "steps": asked.steps}
    print(json.dumps({**shared, "machine": machine, "run": run}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
