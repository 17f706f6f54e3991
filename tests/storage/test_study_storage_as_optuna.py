"""Optuna's own behaviour suite for storages, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.testing.pytest_storages import StorageTestCase
from sqlalchemy import make_url

from storage.database import Database, database_from_environment
from storage.study_storage import StudyStorage


@pytest.fixture(scope="module")
def suite_database(postgres_server: Any) -> Database:
    url = make_url(postgres_server.create_database("suite"))
    return Database(url.set(drivername="postgresql+psycopg2"))


class TestOnSqlite(StorageTestCase):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[StudyStorage]:
        storage = StudyStorage(database_from_environment(tmp_path, {}))
        yield storage
        storage.close()


class TestOnPostgresql(StorageTestCase):
    @pytest.fixture
    def storage(self, suite_database: Database) -> Iterator[StudyStorage]:
        storage = StudyStorage(suite_database)
        yield storage
        storage.close()
        with storage._backend.engine.begin() as connection:
            connection.exec_driver_sql("TRUNCATE studies CASCADE")
        storage._backend.engine.dispose()
