"""Images per second of several trainings that share a device.

`python -m benchmarks.sharing` prints JSON as its last line. Each training is the project's own
session in a process of its own, as the workers of a search are; all of them work at once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.side import Side
from benchmarks.training_task import HYPERPARAMETERS


def measure(trainings: int, blocks: int, steps: int) -> dict[str, Any]:
    """All of them at once, block by block."""
    module = "benchmarks.training_sides"
    sides = [Side("session", module, [str(steps)], "images") for _ in range(trainings)]
    for _ in range(blocks):
        for side in sides:
            side.begin_turn()
        for side in sides:
            side.await_turn()
    for side in sides:
        side.end()
    together = [sum(rates) for rates in zip(*(side.rates for side in sides), strict=True)]
    waited = [b["waited"] / b["seconds"] for side in sides for b in side.blocks]
    return {
        "images_per_second": round(statistics.median(together), 2),
        "data_wait_share": round(statistics.median(waited), 4),
        "device": sides[0].told["ready"],
    }


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trainings", type=int, nargs="+", default=[1, 2, 4], help="at once")
    parser.add_argument("--blocks", type=int, default=5, help="turns of each number")
    parser.add_argument("--steps", type=int, default=20, help="of a block")
    asked = parser.parse_args()
    machine = describe_machine()
    shared = {}
    for trainings in asked.trainings:
        shared[str(trainings)] = measure(trainings, asked.blocks, asked.steps)
        print(f"{trainings}: {shared[str(trainings)]}", file=sys.stderr, flush=True)
    run = {"network": HYPERPARAMETERS.to_mapping(), "blocks": asked.blocks, "steps": asked.steps}
    print(json.dumps({"trainings": shared, "machine": machine, "run": run}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
