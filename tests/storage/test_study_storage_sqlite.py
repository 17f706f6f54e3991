"""SQLite's own failures: a file that is locked, a disk that is full."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy import event
from stored_study import assert_same

from storage.database import database_from_environment
from storage.errors import DatabaseError
from storage.studies import open_study_storage
from storage.study_storage import StudyStorage

RUNNING, COMPLETE = TrialState.RUNNING, TrialState.COMPLETE


@pytest.fixture
def file_storage(tmp_path: Path) -> Iterator[StudyStorage]:
    storage = StudyStorage(database_from_environment(tmp_path, {}))
    yield storage
    storage.close()


def assert_fails_once(
    storage: StudyStorage, study_id: int, trial: int, match: str, mend: Callable[[], Any]
) -> None:
    """A write that fails changes nothing, and what was queued is written later."""
    for write in (
        lambda: storage.set_trial_state_values(trial, COMPLETE, [1.0]),
        lambda: storage.create_new_trial(study_id),
        lambda: storage.set_study_user_attr(study_id, "a", 1),
        storage.flush,
    ):
        with pytest.raises(DatabaseError, match=match) as caught:
            write()
        assert "\n" not in str(caught.value)
    assert storage.get_trial(trial).state is RUNNING
    assert storage.get_study_user_attrs(study_id) == {}
    mend()
    storage.set_trial_state_values(trial, COMPLETE, [1.0])
    theirs = open_study_storage(storage._database)
    assert_same(storage, theirs, study_id)
    assert len(theirs.get_all_trials(study_id)) == 1
    theirs.remove_session()
    theirs.engine.dispose()


def test_locked_file_is_named_and_nothing_is_lost(file_storage: StudyStorage) -> None:
    study_id = file_storage.create_new_study([StudyDirection.MAXIMIZE], "mito")
    trial = file_storage.create_new_trial(study_id)
    file_storage.set_trial_user_attr(trial, "threshold", 0.5)
    event.listen(
        file_storage._backend.engine,
        "connect",
        lambda connection, _: connection.execute("PRAGMA busy_timeout = 10"),
    )
    file_storage._transactions.close()
    file_storage._backend.engine.dispose()
    path = str(file_storage._database.url.database)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert_fails_once(
            file_storage,
            study_id,
            trial,
            "held by another program: stop it",
            lambda: other.execute("ROLLBACK"),
        )


def test_full_disk_is_named_and_nothing_is_lost(file_storage: StudyStorage) -> None:
    study_id = file_storage.create_new_study([StudyDirection.MAXIMIZE], "mito")
    trial = file_storage.create_new_trial(study_id)
    file_storage.set_trial_user_attr(trial, "traceback", "x" * 100_000)
    pages = {"most": 1}

    def limit(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages['most']}")

    event.listen(file_storage._backend.engine, "connect", limit)

    def mend() -> None:
        pages["most"] = 100_000
        file_storage._transactions.close()
        file_storage._backend.engine.dispose()

    file_storage._transactions.close()
    file_storage._backend.engine.dispose()
    assert_fails_once(file_storage, study_id, trial, r"database or disk is full", mend)
