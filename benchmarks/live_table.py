"""A table of learning curves whose rows are trained when somebody first asks for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.curve_rows import build_row_space, list_rows
from benchmarks.curve_table import Row
from benchmarks.measured_run import MeasuredRun
from search.curves import Curve
from trainer.hyperparameters import Hyperparameters
from trainer.volume import Volume

_MOST_OPEN = 8
"""Networks in memory; one that is asked for again after it had to go is trained anew."""


@dataclass
class LiveRow:
    """What is known of a network so far, a number for each epoch that was trained."""

    params: Mapping[str, Any]
    dice: list[float] = field(default_factory=list)
    heldout_dice: list[float] = field(default_factory=list)


class LiveTable:
    """Networks of the rows' space, each trained no further than somebody looked.

    What was trained is written to a file after every epoch. Training is the same to the bit each
    time, so that a search that was stopped is run again and finds what it had paid for.

    Attributes:
        rows: In the order in which they were first asked for.
        space: What proposals come from.
        epochs: Of a row, to its end.
        tiles_per_epoch: In tiles of 256 x 256.
        most_trials: More than a search will ask for.
    """

    most_trials = 10_000

    def __init__(
        self,
        volume: Volume,
        kept: Path,
        *,
        filters: int,
        epochs: int,
        tiles_per_epoch: int,
        seed: int,
    ) -> None:
        """Reads what is known already.

        Args:
            volume: EPFL's.
            kept: The file of what was trained with the same settings.
            filters: Of the first level.
            epochs: Of a row, to its end.
            tiles_per_epoch: In tiles of 256 x 256.
            seed: Of weights and tiles.
        """
        self.space = build_row_space(filters)
        self.epochs, self.tiles_per_epoch = epochs, tiles_per_epoch
        self._volume, self._kept, self._seed, self._filters = volume, kept, seed, filters
        self.rows: list[LiveRow] = []
        self._index: dict[Hyperparameters, int] = {}
        self._open: dict[int, MeasuredRun] = {}
        known = json.loads(kept.read_text()) if kept.exists() else []
        self._known = {self.space.complete(each["params"]): LiveRow(**each) for each in known}

    def one_at_a_time(self) -> list[Row]:
        """What a person would try: one value changed at a time, then the best combined."""
        nothing = (0.0,)
        return [
            Row(
                name=row.name,
                params=row.params,
                dice=nothing,
                heldout_dice=nothing,
                epoch_seconds=(1.0,),
            )
            for row in list_rows(0, filters=self._filters, seed=self._seed)
        ]

    def visits(self) -> LiveTable:
        """Itself: every proposal is a row of its own."""
        return self

    def visit(self, proposal: Hyperparameters) -> int:
        """The index of the proposal's row."""
        if proposal not in self._index:
            self._index[proposal] = len(self.rows)
            self.rows.append(self._known.get(proposal) or LiveRow(self._params(proposal)))
        return self._index[proposal]

    def curve(self, hyperparameters: Hyperparameters) -> Curve:
        """A curve that is trained as it is read, on a clock that counts epochs."""
        row = self.visit(hyperparameters)
        return Curve(_Reading(self, row), (1.0,) * self.epochs)

    def dice(self, index: int, epoch: int) -> float:
        """The score of a row after so many epochs, trained if need be."""
        row = self.rows[index]
        while len(row.dice) < epoch:
            run = self._run(index)
            run.advance()
            if len(run.dice) > len(row.dice):
                row.dice, row.heldout_dice = list(run.dice), list(run.heldout_dice)
                self._write()
        return row.dice[epoch - 1]

    def _run(self, index: int) -> MeasuredRun:
        if index not in self._open:
            if len(self._open) == _MOST_OPEN:
                self._open.pop(next(iter(self._open))).close()
            self._open[index] = MeasuredRun(
                self._volume,
                self.space.complete(self.rows[index].params),
                epochs=self.epochs,
                tiles_per_epoch=self.tiles_per_epoch,
                seed=self._seed,
            )
        return self._open[index]

    def _params(self, proposal: Hyperparameters) -> dict[str, Any]:
        return {each.name: getattr(proposal, each.name) for each in self.space.dimensions}

    def _write(self) -> None:
        rows = {id(row): row for row in (*self._known.values(), *self.rows) if row.dice}
        text = ",\n".join(json.dumps(asdict(row)) for row in rows.values())
        partial = self._kept.with_suffix(".partial")
        partial.write_text(f"[\n{text}\n]\n")
        partial.replace(self._kept)


class _Reading(Sequence[float]):
    """The scores of a row, trained when they are looked at."""

    def __init__(self, table: LiveTable, index: int) -> None:
        self._table, self._index = table, index

    def __len__(self) -> int:
        return self._table.epochs

    def __getitem__(self, place: Any) -> Any:
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self._table.dice(self._index, place + 1)

    def __iter__(self) -> Iterator[float]:
        return (self[place] for place in range(len(self)))
