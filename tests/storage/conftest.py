"""A study in either kind of database, as several files of tests use it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from sqlalchemy import make_url

from storage.database import Database, database_from_environment
from storage.errors import DatabaseError, StudyDeleted, StudyLocked
from storage.studies import open_study_storage
from storage.study_storage import StudyStorage


def _share(name: str) -> None:
    # The folders of the tests are no packages and not on the import path.
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


_share("stored_study")
stored_study = sys.modules["stored_study"]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Database:
    if request.param == "sqlite":
        return database_from_environment(tmp_path_factory.mktemp("storage"), {})
    server = request.getfixturevalue("postgres_server")
    url = make_url(server.create_database(request.path.stem))
    return Database(url.set(drivername="postgresql+psycopg2"))


@pytest.fixture
def open_storage(database: Database) -> Iterator[Callable[..., StudyStorage]]:
    opened: list[StudyStorage] = []

    def open_(**settings: Any) -> StudyStorage:
        opened.append(StudyStorage(database, **settings))
        return opened[-1]

    yield open_
    for storage in opened:
        try:
            storage.close()
        except (StudyDeleted, StudyLocked, DatabaseError):
            storage._studies.clear()
            storage.close()


@pytest.fixture
def storage(open_storage: Callable[..., StudyStorage]) -> StudyStorage:
    return open_storage()


@pytest.fixture(scope="module")
def optunas(database: Database) -> Iterator[RDBStorage]:
    """Optuna's own storage, for what other programs read and write."""
    storage = open_study_storage(database)
    yield storage
    storage.remove_session()
    storage.engine.dispose()


@pytest.fixture
def study_id(storage: StudyStorage) -> int:
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], next(stored_study.names))
    assert storage.get_all_trials(study_id) == []
    return study_id
