"""Learning curves with moving statistics of batch normalization, and with measured ones.

`python -m benchmarks.batch_statistics --raw RAW --mask MASK` prints JSON as its last line. One
network is trained for each seed. After every epoch it is scored twice: as training's moving means
and variances have it, and with those that are measured before a session scores. By how much Dice
falls from one epoch to the next, on average, says how far a rung can be misled.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.curve_rows import BASELINE, build_row_space
from benchmarks.machine import describe_machine
from benchmarks.measured_run import TRAIN, VALIDATION
from trainer.errors import InputError
from trainer.metrics import PooledHistogram
from trainer.session import TrainingPlan, TrainingSession
from trainer.training_volume import TrainingVolume
from trainer.volume import Volume, load_volume


class MovingFirst:
    """Scores a session with its moving statistics, and then measures them as it would have."""

    def __init__(self, session: TrainingSession) -> None:
        """Takes the place of what measures them."""
        self.dice: list[float] = []
        self.seconds = 0.0
        self._session, self._own = session, session._statistics

    def measure(self, batches: Sequence[np.ndarray]) -> None:
        """Called between training and scoring."""
        histograms, _ = self._session._validate()
        self.dice.append(round(sum(histograms, PooledHistogram()).best().dice, 4))
        started = time.monotonic()
        self._own.measure(batches)
        self.seconds += time.monotonic() - started


def compare(volume: Volume, plan: TrainingPlan, filters: int) -> dict[str, Any]:
    """One network: both of its learning curves, and what the second one costs."""
    from trainer.device import configure_device

    device = configure_device(2)
    learned = TrainingVolume.measure(volume, range(*TRAIN), range(*VALIDATION))
    network = build_row_space(filters).complete(dict(BASELINE))
    session = TrainingSession([learned], network, plan, precision=device.precision)
    session._statistics = moving = MovingFirst(session)
    epochs = [session.advance() for _ in range(plan.epochs)]
    session.close()
    training = sum(epoch.training_seconds for epoch in epochs)
    return {
        "moving": moving.dice,
        "measured": [round(epoch.scores.dice, 4) for epoch in epochs],
        "measuring_share_of_training": round(moving.seconds / training, 3),
    }


def mean_fall(curves: Sequence[Sequence[float]]) -> float:
    """By how much Dice is lower than an epoch before; nothing where it has risen."""
    falls = [max(0.0, before - after) for curve in curves for before, after in pairwise(curve)]
    return round(statistics.fmean(falls), 4)


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains, and prints."""
    options = _parse(arguments)
    try:
        volume = load_volume(options.raw, options.mask)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    runs = []
    for seed in options.seeds:
        runs.append(compare(volume, TrainingPlan(options.epochs, options.tiles, seed), 4))
        print(f"seed {seed}: {runs[-1]}", file=sys.stderr)
    sides = {name: [run[name] for run in runs] for name in ("moving", "measured")}
    result = {
        "dice": sides,
        "mean_fall": {name: mean_fall(curves) for name, curves in sides.items()},
        "last_dice": {
            name: round(statistics.fmean(curve[-1] for curve in curves), 4)
            for name, curves in sides.items()
        },
        "measuring_share_of_training": statistics.median(
            run["measuring_share_of_training"] for run in runs
        ),
        "epochs": options.epochs,
        "tiles_per_epoch": options.tiles,
        "seeds": options.seeds,
        "machine": describe_machine(),
    }
    print(json.dumps(result))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.batch_statistics", description=__doc__)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--mask", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--tiles", type=int, default=200, help="of 256 x 256, in an epoch")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
