"""What a trial costs beside its training: this coordinator, Optuna alone, and Ray Tune.

`python -m benchmarks.orchestration` prints its progress on stderr and one JSON object as the last
line of stdout. Trials of 9 epochs and 6 dimensions train nothing, on 2 slots.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.contest import hold_contest
from benchmarks.lap import WARM_UP
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.noop import EPOCHS, SLOTS, SPACE
from benchmarks.own_ray import CannotMeasure, be_quiet, own_ray, require_ray_tune
from benchmarks.postgres_server import PostgresServer, find_binaries
from benchmarks.study_growth import growth, measure_growth
from benchmarks.utilisation import EPOCHS_OF_A_SECOND, measure_utilisation


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        trials: Of each contender, all blocks together, without the warm-up.
        blocks: That they take turns in.
        rounds: Blocks at each size of a study.
        round_trials: Trials in each of those, without the warm-up.
        second_trials: Trials of epochs of one second.
    """

    trials: int = 500
    blocks: int = 5
    rounds: int = 3
    round_trials: int = 50
    second_trials: int = 30


QUICK = Plan(trials=40, blocks=2, rounds=1, round_trials=10, second_trials=4)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program, and returns its exit code."""
    options = _parse(arguments)
    plan = QUICK if options.quick else Plan()
    plan = replace(plan, trials=options.trials or plan.trials)
    try:
        # Whatever a library prints is kept out of what is read.
        with redirect_stdout(sys.stderr):
            result = measure(plan, _say)
    except CannotMeasure as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    line = json.dumps(result)
    if options.out:
        options.out.write_text(line + "\n", encoding="utf-8")
    print(line)
    return 0


def measure(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Measures everything, one after the other on this machine.

    Raises:
        CannotMeasure: A server or a package is not there.
    """
    binaries = find_binaries()
    if binaries is None:
        raise CannotMeasure(
            "expected a PostgreSQL server in /usr/lib/postgresql or on PATH, found none; "
            "install it (Debian: apt-get install postgresql)"
        )
    require_ray_tune()
    be_quiet()
    machine = describe_machine()
    # The server ends first: Ray may end this process while it shuts down.
    with own_ray(SLOTS), PostgresServer(binaries) as server, _scratch() as folder:
        contest = hold_contest(
            server,
            folder / "contest",
            blocks=plan.blocks,
            block_trials=max(1, plan.trials // plan.blocks),
            say=say,
        )
        split = measure_growth(
            server, folder, rounds=plan.rounds, round_trials=plan.round_trials, say=say
        )
        say(f"{plan.second_trials} trials of {EPOCHS_OF_A_SECOND} epochs of 1 s")
        utilisation = measure_utilisation(
            server.create_database("seconds"), folder / "seconds", trials=plan.second_trials
        )
        commit_ms = server.commit_ms()
    return {
        **contest,
        "utilisation": round(utilisation, 4),
        "growth_10000_over_100": round(growth(split["100"], split["10000"]), 3),
        "split": {
            size: {account: round(ms, 3) for account, ms in accounts.items()}
            for size, accounts in split.items()
        },
        "commit_ms": round(commit_ms, 3),
        "machine": machine,
        "versions": describe_versions(),
        "settings": _describe(plan),
    }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.orchestration", description=__doc__)
    parser.add_argument(
        "--trials", type=_positive, metavar="N", help="trials of each contender (default: 500)"
    )
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it works")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON there as well")
    return parser.parse_args(arguments)


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {value}")
    return number


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="orchestration-") as folder:
        yield Path(folder)


def _describe(plan: Plan) -> dict[str, Any]:
    """What a reader has to know to measure the same."""
    return {
        "trials": plan.trials,
        "blocks": plan.blocks,
        "warm_up_trials_a_block": WARM_UP,
        "reports_a_trial": EPOCHS,
        "dimensions": len(SPACE.dimensions),
        "slots": SLOTS,
        "figures": "medians of blocks that the three take turns in",
        "curve": "the same for all trials up to the last epoch, so that no pruner stops any early",
        "postgresql": "own server on 127.0.0.1, its defaults, fsync on",
        "coordinator": "Ray workers that live through a block, PostgreSQL, tpe, hyperband",
        "optuna": "study.optimize, n_jobs=1, RDBStorage on the same PostgreSQL, TPE, Hyperband",
        "ray_tune": "OptunaSearch in memory, ASHA, class trainable, reuse_actors, no file loggers",
        "split": f"{plan.rounds} x {plan.round_trials} trials on top of so many finished ones",
        "utilisation": f"{plan.second_trials} trials of {EPOCHS_OF_A_SECOND} epochs of 1 s, from "
        "the start of the first epoch to the end of the last one",
    }


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    # So that the server ends with this program; Ray does the same once it has started.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    sys.exit(main())
