"""Images per second of training: this project, stock Keras and PyTorch, taking turns.

`python -m benchmarks.training` prints JSON as its last line. Each side has a process of its own,
trains a block of steps when it is its turn, and sleeps otherwise.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.training_task import HYPERPARAMETERS

_STEPS = {"session": 20, "stock_keras": 6, "torch": 12}
"""Of a block: about as many seconds for each."""


class Side:
    """A process that trains a block at a time."""

    def __init__(self, name: str, steps: int) -> None:
        """Starts it; it is ready after its first block."""
        self.name = name
        # What frameworks say at their start is shown only where the side fails.
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the side
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.training_sides", name, str(steps)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        self.description = str(self._read()["ready"])
        self.blocks: list[Mapping[str, float]] = []

    def take_turn(self) -> None:
        """Trains one block."""
        if self._process.stdin is None:
            raise RuntimeError("started without a pipe")
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.blocks.append(self._read())

    def end(self) -> None:
        """Ends the process."""
        self._process.communicate()
        self._said.close()

    @property
    def rates(self) -> list[float]:
        """Images per second of each block."""
        return [block["images"] / block["seconds"] for block in self.blocks]

    def _read(self) -> dict[str, Any]:
        if self._process.stdout is None:
            raise RuntimeError("started without a pipe")
        line = self._process.stdout.readline()
        if not line:
            self._said.seek(0)
            raise SystemExit(
                f"{self.name}: expected a block of training, its process has ended:\n"
                + self._said.read()[-2000:]
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


def measure(names: Sequence[str], blocks: int) -> dict[str, Any]:
    """Runs the sides in turns, and relates blocks of the same turn."""
    sides = {name: Side(name, _STEPS[name]) for name in names}
    for turn in range(blocks):
        for side in sides.values():
            side.take_turn()
        rates = ", ".join(f"{name} {side.rates[-1]:.1f}" for name, side in sides.items())
        print(f"block {turn + 1} of {blocks}: {rates} images/s", file=sys.stderr, flush=True)
    for side in sides.values():
        side.end()
    session = sides["session"]
    waited = [block["waited"] / block["seconds"] for block in session.blocks]
    return {
        "images_per_second": {
            name: round(statistics.median(sides[name].rates), 2) if name in sides else None
            for name in _STEPS
        },
        "ratio_stock_keras": _ratio(session, sides.get("stock_keras")),
        "ratio_torch": _ratio(session, sides.get("torch")),
        "data_wait_share": round(statistics.median(waited), 4),
        "peak_rss_bytes": int(max(block["peak_rss_bytes"] for block in session.blocks)),
        "sides": {name: side.description for name, side in sides.items()},
    }


def _ratio(session: Side, other: Side | None) -> float | None:
    """The median over turns of how many times faster the session was."""
    if other is None:
        return None
    pairs = zip(session.rates, other.rates, strict=True)
    return round(statistics.median(ours / theirs for ours, theirs in pairs), 3)


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=7, help="turns of each side")
    blocks = parser.parse_args().blocks
    names, notes = list(_STEPS), []
    if importlib.util.find_spec("torch") is None:
        names.remove("torch")
        notes.append("torch is not installed (make install EXTRAS=bench): its side is left out")
    machine = describe_machine()
    figures = measure(names, blocks)
    run = {
        "network": HYPERPARAMETERS.to_mapping(),
        "blocks": blocks,
        "steps_a_block": {name: _STEPS[name] for name in names},
        "figures": "medians of blocks; ratios are medians over turns; validation is not counted",
        "notes": notes,
    }
    print(json.dumps({**figures, "machine": machine, "run": run}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
