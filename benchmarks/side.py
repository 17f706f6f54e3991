"""One side of a comparison, in a process of its own that works when it is its turn."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Block = Callable[[], dict[str, float]]
"""Does a turn's work and gives how much it was, with its `seconds`."""


class Side:
    """A process that works a block at a time."""

    def __init__(self, name: str, module: str, arguments: Sequence[str], unit: str) -> None:
        """Starts it, beside others that are started; `await_ready` waits for its first block.

        Args:
            name: Of the side; the module's first argument.
            module: Calls `serve`.
            arguments: More of the module's.
            unit: What a block counts.
        """
        self.name = name
        self._unit = unit
        # What frameworks say at their start is shown only where the side fails.
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the side
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        self.told: Mapping[str, Any] = {}
        self.blocks: list[Mapping[str, float]] = []

    def await_ready(self) -> None:
        """Waits for its first block, which is not counted, and for what it tells of itself."""
        self.told = self._read()

    def take_turn(self) -> None:
        """Works one block."""
        self.begin_turn()
        self.await_turn()

    def begin_turn(self) -> None:
        """Lets it work one block."""
        if self._process.stdin is None:
            raise RuntimeError("started without a pipe")
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def await_turn(self) -> None:
        """Waits for the block's end."""
        self.blocks.append(self._read())

    def end(self) -> None:
        """Ends the process."""
        self._process.communicate()
        self._said.close()

    @property
    def rates(self) -> list[float]:
        """Units per second of each block."""
        return [block[self._unit] / block["seconds"] for block in self.blocks]

    @property
    def rate(self) -> float:
        """The median of `rates`."""
        return statistics.median(self.rates)

    @property
    def peak_rss_bytes(self) -> int:
        """The most memory that the process has had."""
        return int(max(block["peak_rss_bytes"] for block in self.blocks))

    def times_as_fast(self, other: Side) -> float:
        """The median over turns."""
        pairs = zip(self.rates, other.rates, strict=True)
        return round(statistics.median(ours / theirs for ours, theirs in pairs), 3)

    def _read(self) -> dict[str, Any]:
        if self._process.stdout is None:
            raise RuntimeError("started without a pipe")
        line = self._process.stdout.readline()
        if not line:
            self._said.seek(0)
            raise SystemExit(
                f"{self.name}: expected a block of its work, its process has ended:\n"
                + self._said.read()[-2000:]
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


def take_turns(sides: Mapping[str, Side], turns: int, unit: str) -> None:
    """Lets each side work a block per turn, shows the rates, and ends the sides."""
    for side in sides.values():
        side.await_ready()
    for turn in range(turns):
        for side in sides.values():
            side.take_turn()
        rates = ", ".join(f"{name} {side.rates[-1]:,.4g}" for name, side in sides.items())
        print(f"turn {turn + 1} of {turns}: {rates} {unit}/s", file=sys.stderr, flush=True)
    for side in sides.values():
        side.end()


def serve(block: Block, told: Mapping[str, Any]) -> None:
    """Works a block for each line of standard input, and answers with a line of JSON."""
    block()  # traces, compiles, fills the caches
    _answer(told)
    for _ in sys.stdin:
        done = block()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        _answer({**done, "peak_rss_bytes": peak})


def _answer(values: Mapping[str, Any]) -> None:
    print(json.dumps(values), flush=True)
