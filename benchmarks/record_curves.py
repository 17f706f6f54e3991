"""Records the learning curves that `benchmarks.search_quality` replays.

`python -m benchmarks.record_curves --raw RAW --mask MASK --seed SEED` trains every row to the end
with this seed and writes the file after each, so that it goes on where it was stopped. Rows are
trained side by side, one on each core. The rows are the same with every seed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.curve_rows import SPACE, Row, build_row_space, list_rows
from benchmarks.machine import describe_machine
from benchmarks.measured_run import HELD_OUT, TRAIN, VALIDATION, MeasuredRun
from trainer.errors import InputError
from trainer.volume import Volume, load_volume


@dataclass(frozen=True)
class Recording:
    """What all rows of a table have in common."""

    filters: int
    epochs: int
    tiles_per_epoch: int
    sampled: int
    points_seed: int
    """Of the points, which tables of several training seeds share."""
    seed: int
    """Of the training."""


_volume: Volume | None = None


def _prepare(raw: Path, mask: Path) -> None:
    """Reads the volume once for each process."""
    global _volume
    _volume = load_volume(raw, mask)


def record(row: Row, recording: Recording) -> dict[str, Any]:
    """Trains one row to its end."""
    if _volume is None:
        raise RuntimeError("no volume was read")
    network = build_row_space(recording.filters).complete(row.params)
    run = MeasuredRun(
        _volume,
        network,
        epochs=recording.epochs,
        tiles_per_epoch=recording.tiles_per_epoch,
        seed=recording.seed,
    )
    for _ in range(recording.epochs):
        run.advance()
    run.close()
    return {
        "name": row.name,
        "params": row.params,
        "dice": run.dice,
        "heldout_dice": run.heldout_dice,
        "loss": run.loss,
        "epoch_seconds": run.epoch_seconds,
        **({"diverged": run.diverged} if run.diverged else {}),
    }


def record_all(recording: Recording, out: Path, prepare: Sequence[Path], processes: int) -> None:
    """Trains what the file does not hold yet, and writes it after each row."""
    table = _begin(recording, out)
    known = {row["name"] for row in table["rows"]}
    rows = list(list_rows(recording.sampled, filters=recording.filters, seed=recording.points_seed))
    order = {row.name: index for index, row in enumerate(rows)}
    left = [(row, recording) for row in rows if row.name not in known]
    # A process grows with every network that it builds.
    with multiprocessing.get_context("spawn").Pool(
        processes, _prepare, tuple(prepare), maxtasksperchild=8
    ) as pool:
        for done in pool.imap_unordered(_record, left):
            table["rows"].append(done)
            table["rows"].sort(key=lambda row: order[row["name"]])
            _write(out, table)
            last = done["dice"][-1] if done["dice"] else None
            print(f"{len(table['rows'])} of {len(rows)}: {done['name']} {last}", file=sys.stderr)


def _record(arguments: tuple[Row, Recording]) -> dict[str, Any]:
    return record(*arguments)


def _begin(recording: Recording, out: Path) -> dict[str, Any]:
    about = {
        **asdict(recording),
        "space": {**SPACE, "filters": recording.filters},
        "volume": "EPFL hippocampus, training half, 165 x 768 x 1024",
        "split": {"train": TRAIN, "validation": VALIDATION, "held_out": HELD_OUT},
        "command": "python -m benchmarks.record_curves --raw RAW --mask MASK "
        f"--seed {recording.seed} --sampled {recording.sampled}",
    }
    if not out.exists():
        return {"about": {**about, "machine": describe_machine()}, "rows": []}
    table: dict[str, Any] = json.loads(out.read_text())
    expected = json.loads(json.dumps(about))
    if {key: table["about"].get(key) for key in expected} != expected:
        raise SystemExit(f"{out}: expected a table of the same recording; name another file")
    return table


def _write(out: Path, table: Mapping[str, Any]) -> None:
    """A row a line, so that a change of the table can be read."""
    rows = ",\n".join(json.dumps(row) for row in table["rows"])
    partial = out.with_suffix(".partial")
    partial.write_text(f'{{"about": {json.dumps(table["about"])},\n"rows": [\n{rows}\n]}}\n')
    partial.replace(out)


def main() -> int:
    """Records and says how far it has come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--mask", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="by default of the seed")
    parser.add_argument("--filters", type=int, default=4, help="of the first level; 32 in 2019")
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--tiles", type=int, default=40, help="of 256 x 256, in an epoch")
    parser.add_argument("--sampled", type=int, default=110, help="points of Sobol'")
    parser.add_argument("--points-seed", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    recording = Recording(
        options.filters,
        options.epochs,
        options.tiles,
        options.sampled,
        options.points_seed,
        options.seed,
    )
    try:
        # A process that cannot read it would be started again and again.
        load_volume(options.raw, options.mask)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    out = options.out or Path("runs") / f"curves_{options.seed}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    record_all(recording, out, (options.raw, options.mask), options.processes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
