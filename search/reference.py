"""The page of all dimensions, written from the code: `python -m search.reference`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields
from typing import Any

from search.default_ranges import DEFAULT_RANGES
from trainer.conditions import CONDITIONS, describe_condition
from trainer.hyperparameters import Hyperparameters
from trainer.presets import PRESETS

_HEAD = """\
# What a search covers

Every row is a key of `[space]`. `NAME = {}` searches the default range, a list or
`{ low = ..., high = ..., log = true, step = ... }` another one, and a single value fixes it. What
`[space]` does not name has its default value. `preset = "report_2019"` takes the values of a known
run instead of the defaults. A dimension with a condition is asked for in those runs alone in which
it matters.

Written by `make reference`; a test holds it to the code.
"""
_COLUMNS = ("dimension", "meaning", "default", "default range", "possible", "only with")


def render_reference() -> str:
    """The page as Markdown."""
    return "\n".join([_HEAD, *_table(), "", *_presets(), ""])


def _table() -> Iterator[str]:
    yield _row(_COLUMNS)
    yield _row(["---"] * len(_COLUMNS))
    for each in fields(Hyperparameters):
        yield _row(
            [
                f"`{each.name}`",
                each.metadata["meaning"],
                _shown(each.default),
                _range(DEFAULT_RANGES[each.name]),
                _possible(each),
                _condition(each.name),
            ]
        )


def _presets() -> Iterator[str]:
    yield "## Presets"
    yield ""
    common = PRESETS["report_2019"]
    yield "`report_2019`: " + ", ".join(f"{n} {_shown(v)}" for n, v in common.items()) + "."
    for name, values in PRESETS.items():
        changes = [f"{n} {_shown(v)}" for n, v in values.items() if v != common[n]]
        if changes:
            yield ""
            yield f"`{name}`: the same with {', '.join(changes)}."


def _row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _range(table: Any) -> str:
    if not isinstance(table, Mapping):
        return ", ".join(map(_shown, table))
    scale = ", by powers" if table.get("log") else ""
    return f"{_shown(table['low'])} to {_shown(table['high'])}{scale}"


def _possible(each: Field[Any]) -> str:
    if "choices" in each.metadata:
        return "these"
    low, high = each.metadata["limits"]
    return f"{low} to {high}"


def _condition(name: str) -> str:
    return "; ".join(
        f"`{other}` {describe_condition(condition)}"
        for other, condition in CONDITIONS.get(name, {}).items()
    )


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.stdout.write(render_reference())
