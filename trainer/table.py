"""Rows of results as a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any


def to_csv(kind: type[Any], rows: Sequence[Any]) -> bytes:
    """Writes instances of a dataclass, a column a field; None is an empty cell.

    Args:
        kind: The dataclass, whose fields name the columns also where there are no rows.
        rows: Its instances.
    """
    if not is_dataclass(kind):
        raise TypeError(f"rows of a dataclass are needed, not of {kind}")
    names = [each.name for each in fields(kind)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(getattr(row, name)) for name in names] for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return round(value, 6) if isinstance(value, float) else value
