"""What each strategy finds for the same number of training tiles, on recorded learning curves.

`python -m benchmarks.search_quality` prints its progress on stderr and one JSON object as the last
line of stdout. Configurations of one space were each trained to their full budget, once for each
table. A strategy proposes, and its proposal visits the nearest row of a table which it has not
visited yet (`benchmarks/curve_table.py` states the distance), Ray Tune's proposals as well. All
begin with the single changes that one value at a time consists of, and may train as many tiles as
that one takes. The seeds take the tables in turn; one value at a time, which draws nothing, is
replayed once on each.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks.curve_table import CurveTable, load_curve_table
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.own_ray import CannotMeasure, be_quiet, own_ray, require_ray_tune
from benchmarks.replay import STRATEGIES, Course, Strategy, follow, replay, replay_one_at_a_time
from search.config import load_config
from trainer.errors import InputError

_HERE = Path(__file__).resolve().parent
_DATA = _HERE / "data"
_CONFIG = _HERE.parent / "configs" / "hippocampus.toml"
_BASELINE = "one_at_a_time"
_RAY_TUNE = "ray_tune_asha"
_TENTHS = range(1, 11)

Courses = Mapping[str, Sequence[Course]]
"""By the name of the strategy, one from each seed; of one value at a time one from each table."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program, and returns its exit code."""
    options = _parse(arguments)
    try:
        tables = load_tables(options.table)
        require_ray_tune()
        be_quiet()
        # Whatever a library prints is kept out of what is read.
        with redirect_stdout(sys.stderr):
            result = measure(tables, range(options.seeds), options.slots, _say)
    except (CannotMeasure, InputError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    line = json.dumps({**result, "tables": [each.name for each in options.table]})
    if options.out:
        options.out.write_text(line + "\n", encoding="utf-8")
    print(line)
    return 0


def load_tables(paths: Sequence[Path]) -> list[CurveTable]:
    """Reads tables on which one value at a time takes as many tiles; they may differ in rows.

    Raises:
        InputError: One cannot be read, or has other tiles than the first.
    """
    tables = [load_curve_table(path) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        if _size(table) != _size(tables[0]):
            raise InputError(
                f"{path}: expected as many single changes, epochs and tiles an epoch as in "
                f"{paths[0]} ({_size(tables[0])}), got {_size(table)}; record it alike"
            )
    return tables


def _size(table: CurveTable) -> tuple[int, int, int]:
    return len(table.one_at_a_time()), table.epochs, table.tiles_per_epoch


def measure(
    tables: Sequence[CurveTable], seeds: Sequence[int], slots: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Replays every strategy: one trial at a time, and this project's also on several slots."""
    started, machine, table = time.monotonic(), describe_machine(), tables[0]
    epochs = len(table.one_at_a_time()) * table.epochs
    courses = replay_all(tables, seeds, slots=1, epochs=epochs, say=say)
    ray_tune = _replay_ray_tune(tables, seeds, epochs, say)
    several = replay_all(tables, seeds, slots=slots, epochs=epochs, say=say)
    return {
        "default": default_strategy(),
        **summarize({**courses, _RAY_TUNE: ray_tune}),
        "share_that_finds_the_best_row": find_shares({**courses, _RAY_TUNE: ray_tune}, tables),
        "seeds": len(seeds),
        "tiles": epochs * table.tiles_per_epoch,
        "rows": [len(each.rows) for each in tables],
        f"on_{slots}_slots": summarize(several),
        "wall_seconds": round(time.monotonic() - started, 1),
        "machine": machine,
        "versions": describe_versions(),
    }


def replay_all(
    tables: Sequence[CurveTable],
    seeds: Sequence[int],
    *,
    slots: int,
    epochs: int,
    say: Callable[[str], None],
) -> dict[str, list[Course]]:
    """Replays this project's strategies, each from every seed; one value at a time has none."""
    courses = {
        _BASELINE: [
            follow(table, replay_one_at_a_time(table, slots=slots), epochs=epochs)
            for table in tables
        ]
    }
    for name, strategy in STRATEGIES.items():
        courses[name] = [
            follow(
                table,
                replay(table, strategy, seed=seed, slots=slots, epochs=epochs),
                epochs=epochs,
            )
            for seed, table in zip(seeds, cycle(tables), strict=False)
        ]
        _tell(name, courses[name], slots, say)
    return courses


def summarize(courses: Courses) -> dict[str, Any]:
    """Means over the seeds, with their standard errors, and who is how fast.

    What to reach is what one value at a time ended with: of the same seed, or on the same table.
    """
    goals, epochs = (
        _last([each.dice for each in courses[_BASELINE]]),
        len(courses[_BASELINE][0].dice),
    )
    dice = {name: [each.dice for each in runs] for name, runs in courses.items()}
    heldout = {name: [each.heldout_dice for each in runs] for name, runs in courses.items()}
    reached = {
        name: [each.first_at(goal) for each, goal in zip(runs, cycle(goals), strict=False)]
        for name, runs in courses.items()
    }
    return {
        "tiles_to_one_at_a_time_best": {
            name: _middle_share(firsts, epochs) for name, firsts in reached.items()
        },
        "seeds_that_reach_it": {
            name: sum(first is not None for first in firsts) for name, firsts in reached.items()
        },
        "heldout_dice": {name: _mean(_last(runs)) for name, runs in heldout.items()},
        "heldout_dice_standard_error": {
            name: _standard_error(_last(runs)) for name, runs in heldout.items()
        },
        "best_by_tenth": _by_tenth(dice, _mean),
        "best_by_tenth_standard_error": _by_tenth(dice, _standard_error),
        "heldout_by_tenth": _by_tenth(heldout, _mean),
    }


def find_shares(courses: Courses, tables: Sequence[CurveTable]) -> dict[str, float]:
    """The share of seeds whose choice in the end is the best that its table holds."""
    best = [max(row.dice[-1] for row in table.rows) for table in tables]
    return {
        name: round(
            statistics.fmean(
                run.dice[-1] >= goal for run, goal in zip(runs, cycle(best), strict=False)
            ),
            4,
        )
        for name, runs in courses.items()
    }


def default_strategy(config: Path = _CONFIG) -> str:
    """The name of the strategy that a config uses."""
    study = load_config(config).study
    used = Strategy(study.sampler, study.pruner)
    known = {strategy: name for name, strategy in STRATEGIES.items()}
    return known.get(used, f"{used.sampler}_{used.pruner}")


def _replay_ray_tune(
    tables: Sequence[CurveTable], seeds: Sequence[int], epochs: int, say: Callable[[str], None]
) -> list[Course]:
    from benchmarks.replay_ray_tune import replay_ray_tune

    with own_ray(cpus=1):
        courses = [
            follow(table, replay_ray_tune(table, seed=seed, epochs=epochs), epochs=epochs)
            for seed, table in zip(seeds, cycle(tables), strict=False)
        ]
    _tell(_RAY_TUNE, courses, 1, say)
    return courses


def _by_tenth(
    values: Mapping[str, Sequence[Sequence[float]]], summary: Callable[[Sequence[float]], float]
) -> dict[str, list[float]]:
    return {
        name: [summary([_after(run, tenth) for run in runs]) for tenth in _TENTHS]
        for name, runs in values.items()
    }


def _after(run: Sequence[float], tenth: int) -> float:
    """The value after so many tenths of the tiles."""
    return run[math.ceil(len(run) * tenth / 10) - 1]


def _last(runs: Sequence[Sequence[float]]) -> list[float]:
    return [run[-1] for run in runs]


def _middle_share(firsts: Sequence[int | None], epochs: int) -> float | None:
    """The median over the seeds; None where half of them or more never get there."""
    middle = statistics.median_high(math.inf if first is None else first for first in firsts)
    return None if math.isinf(middle) else round(middle / epochs, 4)


def _mean(values: Sequence[float]) -> float:
    return round(statistics.fmean(values), 5)


def _standard_error(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    return round(statistics.stdev(values) / math.sqrt(len(values)), 5)


def _tell(name: str, courses: Sequence[Course], slots: int, say: Callable[[str], None]) -> None:
    dice = [course.dice[-1] for course in courses]
    heldout = [course.heldout_dice[-1] for course in courses]
    say(
        f"{name} on {slots} slot{'s' * (slots > 1)}: validation {_mean(dice):.4f} "
        f"(standard error {_standard_error(dice):.4f}), held out {_mean(heldout):.4f}"
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.search_quality", description=__doc__)
    parser.add_argument(
        "--table",
        type=Path,
        nargs="+",
        default=sorted(_DATA.glob("curves*.json")),
        metavar="FILE",
        help="default: all of benchmarks/data",
    )
    parser.add_argument("--seeds", type=_positive, default=6, metavar="N", help="default: 6")
    parser.add_argument(
        "--slots", type=_positive, default=4, metavar="K", help="of the second replay; default: 4"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON there as well")
    return parser.parse_args(arguments)


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {value}")
    return number


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
