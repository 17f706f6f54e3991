"""Studies as the database has them: read whole once, and then what is new."""

import json
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial
from sqlalchemy import Connection, Table, select

from storage.fence import check_existence
from storage.known_study import KnownStudy, changed
from storage.tables import (
    STUDIES,
    STUDY_DIRECTIONS,
    STUDY_SYSTEM_ATTRIBUTES,
    STUDY_USER_ATTRIBUTES,
    SYSTEM_ATTRIBUTES,
    TRIALS,
    USER_ATTRIBUTES,
)
from storage.trial_rows import read_attributes, read_new_trials, read_states, read_trials


@dataclass(frozen=True)
class News:
    """What a study has in its database and not in memory."""

    trials: list[FrozenTrial]
    user_attrs: dict[str, Any]
    system_attrs: dict[str, Any]

    def apply(self, study: KnownStudy) -> None:
        """Takes it over."""
        study.put(self.trials)
        study.user_attrs, study.system_attrs = self.user_attrs, self.system_attrs


def read_study(connection: Connection, study_id: int) -> KnownStudy:
    """Reads a study with all its trials.

    Raises:
        KeyError: There is none of that id.
    """
    name = connection.execute(
        select(STUDIES.c.study_name).where(STUDIES.c.study_id == study_id)
    ).scalar()
    if name is None:
        raise KeyError(f"no study has the id {study_id}")
    directions = connection.execute(
        select(STUDY_DIRECTIONS.c.direction)
        .where(STUDY_DIRECTIONS.c.study_id == study_id)
        .order_by(STUDY_DIRECTIONS.c.objective)
    ).scalars()
    study = KnownStudy(study_id, name, list(directions))
    read_news(connection, study).apply(study)
    return study


def read_news(connection: Connection, study: KnownStudy) -> News:
    """Reads what others wrote to a study of which nothing is pending, however many trials it has.

    Nobody else is expected to report to a trial that is not finished, nor to give it parameters:
    of these, its state and its attributes are read.

    Raises:
        StudyDeleted: The study is not there any more.
    """
    check_existence(connection, study)
    return News(
        trials=[*_read_changed_trials(connection, study), *read_new_trials(connection, study)],
        user_attrs=_read_attributes(connection, STUDY_USER_ATTRIBUTES, study.id),
        system_attrs=_read_attributes(connection, STUDY_SYSTEM_ATTRIBUTES, study.id),
    )


def _read_changed_trials(connection: Connection, study: KnownStudy) -> list[FrozenTrial]:
    trial_ids = study.unfinished_ids()
    states = read_states(connection, study.id, trial_ids)
    moved = [id_ for id_, state in states.items() if state is not study.trial(id_).state]
    same = [id_ for id_ in states if id_ not in set(moved)]
    user_attrs = read_attributes(connection, USER_ATTRIBUTES, same)
    system_attrs = read_attributes(connection, SYSTEM_ATTRIBUTES, same)
    trials = read_trials(connection, TRIALS.c.trial_id.in_(moved)) if moved else []
    for trial_id in same:
        trial, new = study.trial(trial_id), (user_attrs[trial_id], system_attrs[trial_id])
        if (trial.user_attrs, trial.system_attrs) != new:
            trials.append(changed(trial, user_attrs=new[0], system_attrs=new[1]))
    return trials


def _read_attributes(connection: Connection, table: Table, study_id: int) -> dict[str, Any]:
    statement = (
        select(table.c.key, table.c.value_json)
        .where(table.c.study_id == study_id)
        .order_by(*table.primary_key)
    )
    return {key: json.loads(value) for key, value in connection.execute(statement)}


def find_study_of(connection: Connection, trial_id: int) -> int | None:
    """Returns the id of the study that has a trial."""
    statement = select(TRIALS.c.study_id).where(TRIALS.c.trial_id == trial_id)
    study_id: int | None = connection.execute(statement).scalar()
    return study_id
