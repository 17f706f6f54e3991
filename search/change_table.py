"""What single changes of a baseline did, beside what somebody else has measured of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search.report_runs import Run

CHANGE = "change"
"""Trial attribute: the name of the change that the trial tries."""

_MEASURED = (
    "training_loss",
    "validation_loss",
    "train_dice",
    "validation_dice",
    "epoch_seconds",
)


@dataclass(frozen=True)
class ChangeRow:
    """One change of the baseline.

    Attributes:
        name: As the config calls it.
        number: Of its trial, where it has begun.
        measured: Losses, Dice of training and validation, seconds of an epoch.
        reported: Numbers that the config gives for it, under the same names.
        reason: Why there is no result, where there is none.
    """

    name: str
    number: int | None
    measured: Mapping[str, float | None]
    reported: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The row as `run --json` prints it."""
        return {
            "name": self.name,
            "trial": self.number,
            "measured": dict(self.measured),
            "reported": dict(self.reported),
            "reason": self.reason,
        }


def build_change_table(
    runs: Sequence[Run], reported: Mapping[str, Mapping[str, float]]
) -> list[ChangeRow]:
    """The changes in the order of the config, each with its newest run.

    Args:
        runs: Of a study with the sampler `one_at_a_time`.
        reported: Of each change, by its name: the numbers to stand beside.
    """
    by_name = {run.facts[CHANGE]: run for run in runs if CHANGE in run.facts}
    rows = [_row(name, by_name.get(name), numbers) for name, numbers in reported.items()]
    others = [name for name in by_name if name not in reported]
    return rows + [_row(name, by_name[name], {}) for name in others]


def _row(name: str, run: Run | None, reported: Mapping[str, float]) -> ChangeRow:
    if run is None:
        return ChangeRow(name, None, dict.fromkeys(_MEASURED), reported, "not tried yet")
    facts = run.facts
    values = {
        "training_loss": facts.get("loss"),
        "validation_loss": facts.get("validation_loss"),
        "train_dice": facts.get("train_dice"),
        "validation_dice": run.value if run.value is not None else run.last,
        "epoch_seconds": facts.get("epoch_seconds"),
    }
    return ChangeRow(name, run.number, values, reported, facts.get("reason"))


def table_of(rows: Sequence[ChangeRow]) -> tuple[list[str], list[list[Any]]]:
    """Head and body for people: a column for each number, measured beside reported."""
    named = [name for name in _MEASURED if _wanted(rows, name)]
    head = ["change", "trial"]
    for name in named:
        words = name.replace("_", " ")
        head.append(words)
        if any(name in row.reported for row in rows):
            head.append(f"{words}, reported")
    body = [_cells(row, named, rows) for row in rows]
    return head, body


def _wanted(rows: Sequence[ChangeRow], name: str) -> bool:
    """Where something is reported, what is reported; else whatever was measured."""
    if any(row.reported for row in rows):
        return any(name in row.reported for row in rows)
    return any(row.measured.get(name) is not None for row in rows)


def _cells(row: ChangeRow, named: Sequence[str], rows: Sequence[ChangeRow]) -> list[Any]:
    cells: list[Any] = [row.name, "–" if row.number is None else str(row.number)]
    for name in named:
        cells.append(row.measured.get(name))
        if any(name in each.reported for each in rows):
            cells.append(row.reported.get(name))
    return cells
