"""What single changes of a baseline did, beside what somebody else has measured of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import optuna

from search.config import Config
from search.one_at_a_time import BASELINE, JOINT, MEASURED
from search.plan import CHANGE, ONE_AT_A_TIME, Plan
from search.report_runs import Run, read_runs


@dataclass(frozen=True)
class ChangeRow:
    """One change of the baseline.

    Attributes:
        name: As the config calls it.
        number: Of its trial, where it has begun.
        measured: Losses, Dice of training and validation, seconds of an epoch.
        reported: Numbers that the config gives for it, under the same names.
        reason: Why there is no result, or how far it was trained where that was not to the end.
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


def list_changes(study: optuna.Study, config: Config) -> list[ChangeRow]:
    """The changes of the baseline that a study tries; none where it has neither."""
    if not config.change and config.study.sampler != ONE_AT_A_TIME:
        return []
    runs = _named(read_runs(study, config), config.build_changes())
    return build_change_table(runs, config.reported())


def build_change_table(
    runs: Sequence[Run], reported: Mapping[str, Mapping[str, float]]
) -> list[ChangeRow]:
    """The changes in the order of the config, each with its newest run.

    Args:
        runs: Of the study.
        reported: Of each change, by its name: the numbers to stand beside.
    """
    # Changes that come to the same run share it, and it has the names of all of them.
    by_name = {name: run for run in runs for name in _names(run)}
    names = list(reported) or list(by_name)
    baseline = by_name.get(BASELINE)
    if baseline is not None and not set(names) & set(_names(baseline)):
        # No change of the config stands for it.
        names.insert(0, BASELINE)
    return [_row(name, by_name.get(name), reported.get(name, {})) for name in names]


def is_baseline(run: Run) -> bool:
    """Whether a run is what the changes are made of."""
    return BASELINE in _names(run)


def _names(run: Run) -> list[str]:
    return [name for name in str(run.facts.get(CHANGE, "")).split(JOINT) if name]


def _named(runs: Sequence[Run], plan: Plan) -> list[Run]:
    """The runs, each change's that somebody else asked for under its name as well."""
    planned = [plan.entry(index) for index in range(plan.size)]
    names = {frozenset(each.params.items()): each.change for each in planned}
    return [
        run
        if CHANGE in run.facts or not (name := names.get(frozenset(run.params.items())))
        else replace(run, facts={**run.facts, CHANGE: name})
        for run in runs
    ]


def _row(name: str, run: Run | None, reported: Mapping[str, float]) -> ChangeRow:
    if run is None:
        return ChangeRow(name, None, dict.fromkeys(MEASURED), reported, "not tried yet")
    facts = run.facts
    values = {
        "training_loss": facts.get("loss"),
        "validation_loss": facts.get("validation_loss"),
        "train_dice": facts.get("train_dice"),
        "validation_dice": run.value if run.value is not None else run.last,
        "epoch_seconds": facts.get("epoch_seconds"),
    }
    return ChangeRow(name, run.number, values, reported, facts.get("reason") or _stopped(run))


def _stopped(run: Run) -> str | None:
    """Where it is compared with others that were trained for longer."""
    if run.value is not None or not run.reports:
        return None
    epochs = max(run.reports)
    return f"after {epochs} epoch{'s' * (epochs > 1)}"


def table_of(rows: Sequence[ChangeRow]) -> tuple[list[str], list[list[Any]]]:
    """Head and body for people: a column for each number, measured beside reported."""
    named = [name for name in MEASURED if _wanted(rows, name)]
    head = ["change", "trial"]
    for name in named:
        words = name.replace("_", " ")
        head.append(words)
        if any(name in row.reported for row in rows):
            head.append(f"{words}, reported")
    body = [_cells(row, named, rows) for row in rows]
    if any(row.reason for row in rows):
        head.append("")
        body = [[*cells, row.reason or ""] for cells, row in zip(body, rows, strict=True)]
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
