"""Trials as the database has them: read whole, added, and told."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    bindparam,
    func,
    insert,
    select,
    update,
)

from storage.fence import study_deleted
from storage.known_study import KnownStudy, changed
from storage.pending import Pending
from storage.tables import (
    PARAMS,
    REPORTS,
    SYSTEM_ATTRIBUTES,
    TRIALS,
    USER_ATTRIBUTES,
    VALUES,
    local_time,
    stored_time,
)
from storage.upserts import write_rows

_ByTrial = defaultdict[int, list[Row[Any]]]

_COUNT_AFTER = select(func.count(TRIALS.c.trial_id)).where(
    TRIALS.c.study_id == bindparam("of_study"), TRIALS.c.trial_id > bindparam("last_id")
)
# The number is what Optuna gives it: how many the study had before. Only the new ones are counted.
_INSERT = (
    insert(TRIALS)
    .values(number=bindparam("known") + _COUNT_AFTER.scalar_subquery())
    .returning(TRIALS.c.trial_id, TRIALS.c.number)
)
_STATES = select(TRIALS.c.trial_id, TRIALS.c.state).where(
    TRIALS.c.study_id == bindparam("of_study"),
    TRIALS.c.trial_id.in_(bindparam("trial_ids", expanding=True)),
)
# In one order everywhere, so that nobody waits for each other.
_STATES_LOCKED = _STATES.order_by(TRIALS.c.trial_id).with_for_update(key_share=True)
_TAKE = update(TRIALS).where(
    TRIALS.c.trial_id == bindparam("taken_id"), TRIALS.c.state == TrialState.WAITING
)


def read_trials(connection: Connection, condition: ColumnElement[bool]) -> list[FrozenTrial]:
    """Reads all trials that meet a condition on their rows, in the order of their ids."""
    rows = connection.execute(select(TRIALS).where(condition).order_by(TRIALS.c.trial_id)).all()
    if not rows:
        return []
    params = _read(connection, PARAMS, condition)
    values = _read(connection, VALUES, condition)
    reports = _read(connection, REPORTS, condition)
    user_attributes = _read(connection, USER_ATTRIBUTES, condition)
    system_attributes = _read(connection, SYSTEM_ATTRIBUTES, condition)
    trials = []
    for row in rows:
        trial_id = row.trial_id
        distributions = {p.param_name: _distribution(p.distribution_json) for p in params[trial_id]}
        trials.append(
            FrozenTrial(
                number=row.number,
                state=row.state,
                value=None,
                values=_values(values[trial_id]),
                datetime_start=local_time(row.datetime_start),
                datetime_complete=local_time(row.datetime_complete),
                params={
                    p.param_name: distributions[p.param_name].to_external_repr(p.param_value)
                    for p in params[trial_id]
                },
                distributions=distributions,
                user_attrs=_attributes(user_attributes[trial_id]),
                system_attrs=_attributes(system_attributes[trial_id]),
                intermediate_values={r.step: _report(r) for r in reports[trial_id]},
                trial_id=trial_id,
            )
        )
    return trials


def _read(connection: Connection, table: Table, condition: ColumnElement[bool]) -> _ByTrial:
    statement = (
        select(table)
        .join(TRIALS, TRIALS.c.trial_id == table.c.trial_id)
        .where(condition)
        .order_by(*table.primary_key)
    )
    found: _ByTrial = defaultdict(list)
    for row in connection.execute(statement):
        found[row.trial_id].append(row)
    return found


@lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    # A study has a handful of them, and as many rows as trials and parameters.
    return json_to_distribution(text)


def _values(rows: list[Row[Any]]) -> list[float] | None:
    ordered = sorted(rows, key=lambda row: int(row.objective))
    read = models.TrialValueModel.stored_repr_to_value
    return [read(row.value, row.value_type) for row in ordered] or None


def _report(row: Row[Any]) -> float:
    return models.TrialIntermediateValueModel.stored_repr_to_intermediate_value(
        row.intermediate_value, row.intermediate_value_type
    )


def _attributes(rows: Iterable[Row[Any]]) -> dict[str, Any]:
    return {row.key: json.loads(row.value_json) for row in rows}


def read_attributes(
    connection: Connection, table: Table, trial_ids: Collection[int]
) -> dict[int, dict[str, Any]]:
    """Reads user or system attributes of some trials; a trial without any has an empty set."""
    statement = select(table).where(table.c.trial_id.in_(trial_ids)).order_by(*table.primary_key)
    found: dict[int, dict[str, Any]] = {trial_id: {} for trial_id in trial_ids}
    for row in connection.execute(statement) if trial_ids else ():
        found[row.trial_id][row.key] = json.loads(row.value_json)
    return found


def read_states(
    connection: Connection, study_id: int, trial_ids: Collection[int], *, lock: bool = False
) -> dict[int, TrialState]:
    """Reads the states of those of some trials that the study has.

    Args:
        connection: In a transaction.
        study_id: Ids of trials can be given anew in SQLite, where a study was deleted.
        trial_ids: Of the trials.
        lock: Whether nobody else may tell them until the transaction ends.
    """
    if not trial_ids:
        return {}
    statement = _STATES_LOCKED if lock else _STATES
    found = connection.execute(statement, {"of_study": study_id, "trial_ids": list(trial_ids)})
    return {row.trial_id: row.state for row in found}


def add_trial(connection: Connection, study: KnownStudy, trial: FrozenTrial) -> list[FrozenTrial]:
    """Adds a trial to a study that is locked.

    Returns:
        Those that others have added before it and that are not known yet, and the trial itself
        with its id and number.
    """
    row = connection.execute(
        _INSERT,
        {
            "study_id": study.id,
            "state": trial.state,
            "datetime_start": stored_time(trial.datetime_start),
            "datetime_complete": stored_time(trial.datetime_complete),
            "known": len(study),
            "of_study": study.id,
            "last_id": study.last_id,
        },
    ).one()
    added = changed(trial, number=row.number, _trial_id=row.trial_id)
    rows = Pending()
    rows.add_trial(added)
    write_rows(connection, rows.tables())
    return [added] if row.number == len(study) else read_new_trials(connection, study)


def read_new_trials(connection: Connection, study: KnownStudy) -> list[FrozenTrial]:
    """Reads the trials that were added since the newest one that is known."""
    # Whoever adds a trial has locked the study: ids are in the order of the commits.
    condition = (TRIALS.c.study_id == study.id) & (TRIALS.c.trial_id > study.last_id)
    return read_trials(connection, condition)


def take_trial(connection: Connection, study: KnownStudy, trial: FrozenTrial) -> FrozenTrial:
    """Makes a WAITING trial RUNNING.

    Args:
        connection: In a transaction.
        study: The trial's.
        trial: As it shall be.

    Returns:
        The same, or what it is where it was not WAITING any more.

    Raises:
        StudyDeleted: The trial is not there any more.
    """
    taken = {
        "taken_id": trial._trial_id,
        "state": trial.state,
        "datetime_start": stored_time(trial.datetime_start),
    }
    if connection.execute(_TAKE, taken).rowcount == 1:
        return trial
    for other in read_trials(connection, TRIALS.c.trial_id == trial._trial_id):
        return other
    raise study_deleted(study)


def write_pending(connection: Connection, study: KnownStudy) -> list[FrozenTrial]:
    """Writes all that is pending, but nothing to a trial that somebody else has told.

    Returns:
        The trials that somebody else has told.

    Raises:
        StudyDeleted: A trial is not there any more.
    """
    pending, trial_ids = study.pending, study.pending.trial_ids()
    states = read_states(connection, study.id, trial_ids, lock=True)
    if len(states) < len(trial_ids):
        raise study_deleted(study)
    told = {trial_id for trial_id, state in states.items() if state.is_finished()}
    ended = [trial for trial_id, trial in pending.ended.items() if trial_id not in told]
    write_rows(connection, pending.tables(without=told), ended)
    return read_trials(connection, TRIALS.c.trial_id.in_(told)) if told else []
