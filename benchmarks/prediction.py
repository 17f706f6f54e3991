"""Voxels per second of prediction, beside the report's mean over windows, taking turns.

`python -m benchmarks.prediction` prints JSON as its last line. The report of 2019 predicts a
section in windows of 256 x 256 with Keras's own layers in float32, one `predict` for each, and
takes the mean where they overlap. This project predicts whole sections in the precision that the
device is fast in (`ratio_windowed`); its own version of the report's windows, at the same overlap,
is timed as well (`ratio_same_windows`). Each side has a process of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.prediction_sides import SIDES, WINDOW
from benchmarks.side import Side, take_turns


def measure(run: Mapping[str, Any]) -> dict[str, Any]:
    """Runs the sides in turns, and relates what they did in the same turn."""
    module = "benchmarks.prediction_sides"
    sides = {name: Side(name, module, [json.dumps(run)], "voxels") for name in SIDES}
    take_turns(sides, run["turns"], "voxels")
    whole, report = sides["whole_sections"], sides["report"]
    return {
        "voxels_per_second": round(whole.rate),
        "ratio_windowed": whole.times_as_fast(report),
        "ratio_same_windows": sides["same_windows"].times_as_fast(report),
        "sides_voxels_per_second": {name: round(side.rate) for name, side in sides.items()},
        "peak_rss_bytes": whole.peak_rss_bytes,
        **whole.told,
    }


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sections", type=int, default=8, help="of a turn of whole sections")
    parser.add_argument("--height", type=int, default=768, help=f"voxels, at least {WINDOW}")
    parser.add_argument("--width", type=int, default=1024, help=f"voxels, at least {WINDOW}")
    parser.add_argument("--overlap", type=float, default=0.5, help="of windows, as a share")
    parser.add_argument("--turns", type=int, default=5, help="of each side")
    parser.add_argument("--filters", type=int, default=16, help="at the network's first level")
    parser.add_argument("--depth", type=int, default=4, help="of the network")
    parser.add_argument("--stem-stride", type=int, default=1, help="voxels that enter it as one")
    parser.add_argument("--threads", type=int, default=None, help="cores; all by default")
    arguments = parser.parse_args(argv)
    if min(arguments.height, arguments.width) < WINDOW:
        parser.error(f"--height and --width: expected at least {WINDOW}")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Measures and prints."""
    arguments = _parse(argv)
    machine = describe_machine()
    run = vars(arguments)
    print(json.dumps({**measure(run), "machine": machine, "run": run}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
