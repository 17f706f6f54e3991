"""Rows written in place of those that say the same, many of many tables in one trip."""

import enum
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from optuna.trial import FrozenTrial
from sqlalchemy import Connection, Insert, Table, TextClause, bindparam, text, update
from sqlalchemy.dialects import postgresql, sqlite

from storage.tables import (
    PARAMS,
    REPORTS,
    STUDY_SYSTEM_ATTRIBUTES,
    STUDY_USER_ATTRIBUTES,
    SYSTEM_ATTRIBUTES,
    TRIALS,
    USER_ATTRIBUTES,
    VALUES,
    stored_time,
)

Row = Mapping[str, Any]

# What tells a row from all others of its table, beside the number that the database gives it.
_KEYS = {
    STUDY_USER_ATTRIBUTES: ("study_id", "key"),
    STUDY_SYSTEM_ATTRIBUTES: ("study_id", "key"),
    PARAMS: ("trial_id", "param_name"),
    VALUES: ("trial_id", "objective"),
    REPORTS: ("trial_id", "step"),
    USER_ATTRIBUTES: ("trial_id", "key"),
    SYSTEM_ATTRIBUTES: ("trial_id", "key"),
}
_TELL = update(TRIALS).where(TRIALS.c.trial_id == bindparam("told_id"))


def write_rows(
    connection: Connection,
    rows: Iterable[tuple[Table, Sequence[Row]]],
    told: Sequence[FrozenTrial] = (),
) -> None:
    """Writes rows, new or in place of those that have the same key, and the states of trials.

    Args:
        connection: In a transaction.
        rows: By table, with all columns but the number that the database gives; no key twice.
        told: Trials that get their state and the time of their end.
    """
    states = [
        {
            "told_id": trial._trial_id,
            "state": trial.state,
            "datetime_complete": stored_time(trial.datetime_complete),
        }
        for trial in told
    ]
    if connection.dialect.name == "sqlite":
        _write_to_sqlite(connection, rows, states)
    else:
        _write_to_postgresql(connection, rows, states)


def _write_to_sqlite(
    connection: Connection, rows: Iterable[tuple[Table, Sequence[Row]]], states: Sequence[Row]
) -> None:
    for table, of_table in rows:
        connection.execute(_SQLITE[table], of_table)
    if states:
        connection.execute(_TELL, states)


def _write_to_postgresql(
    connection: Connection, rows: Iterable[tuple[Table, Sequence[Row]]], states: Sequence[Row]
) -> None:
    # The driver would send each row on a trip of its own; this is one trip for all of them.
    statements: list[str] = []
    values: dict[str, Any] = {}
    for table, of_table in rows:
        statements.append(_POSTGRESQL[table])
        values |= _columnwise(table.name, of_table)
    if states:
        statements.append(_POSTGRESQL_TELL)
        values |= _columnwise("told", states)
    if statements:
        connection.execute(_joined(tuple(statements)), values)


@lru_cache(maxsize=256)
def _joined(statements: tuple[str, ...]) -> TextClause:
    return text("; ".join(statements))


def _columnwise(prefix: str, rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {f"{prefix}_{name}": [_plain(row[name]) for row in rows] for name in rows[0]}


def _plain(value: Any) -> Any:
    return value.name if isinstance(value, enum.Enum) else value


def _build_for_sqlite(table: Table) -> Insert:
    statement = sqlite.insert(table)
    changed = {name: statement.excluded[name] for name in _changing(table)}
    return statement.on_conflict_do_update(index_elements=_KEYS[table], set_=changed)


def _build_for_postgresql(table: Table) -> str:
    columns = [*_KEYS[table], *_changing(table)]
    arrays = [f"CAST(:{table.name}_{name} AS {_type(table, name)}[])" for name in columns]
    return (
        f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT * FROM unnest({', '.join(arrays)})"
        f" ON CONFLICT ({', '.join(_KEYS[table])}) DO UPDATE"
        f" SET {', '.join(f'{name} = excluded.{name}' for name in _changing(table))}"
    )


def _changing(table: Table) -> list[str]:
    return [
        column.name
        for column in table.columns
        if not column.primary_key and column.name not in _KEYS[table]
    ]


def _type(table: Table, column: str) -> str:
    return str(table.c[column].type.compile(postgresql.dialect()))  # type: ignore[no-untyped-call]


_SQLITE = {table: _build_for_sqlite(table) for table in _KEYS}
_POSTGRESQL = {table: _build_for_postgresql(table) for table in _KEYS}
_POSTGRESQL_TELL = f"""
    UPDATE trials SET state = told.state, datetime_complete = told.datetime_complete
    FROM unnest(
        CAST(:told_told_id AS integer[]),
        CAST(:told_state AS {_type(TRIALS, "state")}[]),
        CAST(:told_datetime_complete AS timestamp[])
    ) AS told(trial_id, state, datetime_complete)
    WHERE trials.trial_id = told.trial_id
"""
