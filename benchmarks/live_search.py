"""One value at a time against the default search, each training its own networks.

`python -m benchmarks.live_search --raw RAW --mask MASK` prints one JSON object as its last line.
Where `benchmarks.search_quality` replays recorded curves, here every proposal is the network that
is trained, on the same sections of the same volume and for the same number of tiles. Both sides of
a seed train with that seed. What was trained is kept in `--out`, and a run that was stopped goes
on from there.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.live_table import LiveTable
from benchmarks.machine import describe_machine
from benchmarks.replay import STRATEGIES, Course, follow, replay, replay_one_at_a_time
from benchmarks.search_quality import default_strategy, summarize
from trainer.volume import Volume, load_volume

_BASELINE = "one_at_a_time"


def search_live(volume: Volume, seed: int, options: argparse.Namespace) -> dict[str, Course]:
    """Both searches of a seed, with the same number of epochs."""
    kept = options.out / f"seed-{seed}.json"

    def table() -> LiveTable:
        return LiveTable(
            volume,
            kept,
            filters=options.filters,
            epochs=options.epochs,
            tiles_per_epoch=options.tiles,
            seed=seed,
        )

    rows, courses = table(), {}
    epochs = len(rows.one_at_a_time()) * rows.epochs
    journal = replay_one_at_a_time(rows, slots=1)
    courses[_BASELINE] = follow(rows, journal, epochs=epochs)
    _say(seed, _BASELINE, courses[_BASELINE])
    rows = table()
    journal = replay(rows, STRATEGIES[options.strategy], seed=seed, slots=1, epochs=epochs)
    courses[options.strategy] = follow(rows, journal, epochs=epochs)
    _say(seed, options.strategy, courses[options.strategy])
    return courses


def main(arguments: list[str] | None = None) -> int:
    """Searches, and prints."""
    options = _parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    volume = load_volume(options.raw, options.mask)
    by_seed = [search_live(volume, seed, options) for seed in options.seeds]
    courses = {name: [each[name] for each in by_seed] for name in (_BASELINE, options.strategy)}
    result: dict[str, Any] = {
        "default": default_strategy(),
        **summarize(courses),
        "seeds": len(options.seeds),
        "tiles": len(by_seed[0][_BASELINE].dice) * options.tiles,
        "machine": describe_machine(),
    }
    print(json.dumps(result))
    return 0


def _say(seed: int, name: str, course: Course) -> None:
    print(
        f"seed {seed}, {name}: Dice {course.dice[-1]:.4f}, held out {course.heldout_dice[-1]:.4f}",
        file=sys.stderr,
        flush=True,
    )


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.live_search", description=__doc__)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--mask", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/live_search"), metavar="FOLDER")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--strategy", choices=sorted(STRATEGIES), default=default_strategy())
    parser.add_argument("--filters", type=int, default=4, help="of the first level; 32 in 2019")
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--tiles", type=int, default=40, help="of 256 x 256, in an epoch")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
