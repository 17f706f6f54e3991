from __future__ import annotations

import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from sqlalchemy import URL, make_url

from storage.database import Database, database_from_environment
from storage.errors import DatabaseError
from storage.studies import open_existing_storage, open_study_storage

# Far below the patience of a minute, and long for the slowest of machines.
AT_ONCE_SECONDS = 30.0


def at(url: str | URL) -> Database:
    environ = {
        "UNET_SEARCH_DATABASE_URL": url
        if isinstance(url, str)
        else url.render_as_string(hide_password=False)
    }
    return database_from_environment(Path("runs"), environ)


@contextmanager
def opened(database: Database) -> Iterator[RDBStorage]:
    storage = open_study_storage(database)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def refusal(database: Database, patience_seconds: float = 60.0) -> tuple[str, float]:
    start = time.monotonic()
    with pytest.raises(DatabaseError) as caught:
        open_study_storage(database, patience_seconds=patience_seconds)
    elapsed = time.monotonic() - start
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert not database.url.password or str(database.url.password) not in message
    return message, elapsed


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A database that nobody has used yet."""
    if request.param == "sqlite":
        return database_from_environment(tmp_path / "new {folder} 100% ?#", {})
    server = request.getfixturevalue("postgres_server")
    name = f"fresh_{time.monotonic_ns()}"
    return at(server.create_database(name))


def test_study_outlives_its_storage(database: Database) -> None:
    with opened(database) as storage:
        study = optuna.create_study(storage=storage, study_name="mito", direction="maximize")
        trial = study.ask({"rate": optuna.distributions.FloatDistribution(0, 1)})
        trial.report(0.5, 1)
        study.tell(trial, 0.75)
    with opened(database) as storage:
        study = optuna.load_study(storage=storage, study_name="mito")
        assert study.best_value == 0.75
        assert study.trials[0].intermediate_values == {1: 0.5}
    if database.is_sqlite:
        assert Path(str(database.url.database)).exists()


def test_first_starts_at_the_same_time_do_not_collide(database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        storages = list(pool.map(open_study_storage, [database] * 4))
    assert len(storages) == 4
    for storage in storages:
        assert storage.get_all_studies() == []
        storage.engine.dispose()


def test_opening_says_nothing(
    database: Database, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with opened(database) as storage:
        optuna.create_study(storage=storage, study_name="quiet")
    assert capfd.readouterr() == ("", "")
    assert caplog.messages == []


@pytest.mark.parametrize("writable", [True, False])
def test_a_database_that_has_studies_is_opened(
    database: Database, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    with opened(database) as storage:
        optuna.create_study(storage=storage, study_name="mito")
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: access(path, mode) and (writable or mode != os.W_OK)
    )
    again = open_existing_storage(database)
    assert again is not None
    assert optuna.load_study(storage=again, study_name="mito").trials == []
    again.engine.dispose()


def test_sqlite_connections_share_the_file_and_wait_for_each_other(tmp_path: Path) -> None:
    names = ("journal_mode", "busy_timeout", "synchronous")
    with (
        opened(database_from_environment(tmp_path, {})) as storage,
        storage.engine.connect() as first,
        storage.engine.connect() as second,
    ):
        for connection in (first, second):
            values = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
            assert values == ["wal", 60_000, 2]


def test_folder_under_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message, elapsed = refusal(database_from_environment(tmp_path / "file" / "runs", {}))
    assert f"{tmp_path}/file/runs cannot be made" in message
    assert elapsed < AT_ONCE_SECONDS


def test_folder_that_the_system_refuses_is_named() -> None:
    message, _ = refusal(database_from_environment(Path("/proc/runs"), {}))
    assert "/proc/runs cannot be made" in message


def test_path_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "studies.db").mkdir()
    message, _ = refusal(database_from_environment(tmp_path, {}))
    assert f"{tmp_path}/studies.db cannot be written" in message


def test_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "studies.db"
    file.write_text("notes on mitochondria" * 100)
    message, elapsed = refusal(database_from_environment(tmp_path, {}))
    assert f"{file} is not an SQLite database" in message
    assert elapsed < AT_ONCE_SECONDS
    assert [path.name for path in tmp_path.iterdir()] == ["studies.db"]
    assert file.read_text() == "notes on mitochondria" * 100


def test_database_that_another_program_holds_is_refused_after_the_patience(tmp_path: Path) -> None:
    database = database_from_environment(tmp_path, {})
    with closing(sqlite3.connect(tmp_path / "studies.db", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")
        message, elapsed = refusal(database, patience_seconds=0.3)
    assert "held by another program" in message
    assert elapsed < AT_ONCE_SECONDS


def test_tables_of_another_optuna_are_refused(database: Database) -> None:
    with opened(database) as storage, storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    message, _ = refusal(database)
    assert "made by another version of Optuna" in message
    assert database.shown in message


def test_wrong_password_is_refused_at_once(postgres_server: Any) -> None:
    message, elapsed = refusal(at(postgres_server.url(password="sesame")))
    assert "refused user and password (password authentication failed" in message
    assert "UNET_SEARCH_DATABASE_PASSWORD_FILE" in message
    assert elapsed < AT_ONCE_SECONDS


def test_missing_password_is_refused_at_once(postgres_server: Any) -> None:
    url = make_url(postgres_server.url())
    message, elapsed = refusal(at(f"postgresql://{url.username}@{url.host}:{url.port}/postgres"))
    assert "no password supplied" in message
    assert elapsed < AT_ONCE_SECONDS


def test_unknown_database_is_refused_at_once(postgres_server: Any) -> None:
    message, elapsed = refusal(at(postgres_server.url("nowhere")))
    assert 'database "nowhere" does not exist: create it' in message
    assert elapsed < AT_ONCE_SECONDS


def test_user_who_may_not_create_tables_is_told_so(postgres_server: Any) -> None:
    postgres_server.execute("CREATE ROLE guest LOGIN PASSWORD 'sesame'")
    message, elapsed = refusal(at(postgres_server.url(user="guest", password="sesame")))
    assert "forbids (permission denied for schema public): grant it to user guest" in message
    assert elapsed < AT_ONCE_SECONDS


def test_option_that_the_driver_does_not_know_is_refused_at_once(postgres_url: str) -> None:
    message, elapsed = refusal(at(postgres_url + "?colour=red"))
    assert "colour" in message
    assert elapsed < AT_ONCE_SECONDS


def test_options_of_the_url_go_before_ours(postgres_url: str) -> None:
    with (
        opened(at(postgres_url + "?application_name=mine")) as storage,
        storage.engine.connect() as connection,
    ):
        names = ("application_name", "lock_timeout", "idle_in_transaction_session_timeout")
        values = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names]
    assert values == ["mine", "30s", "1min"]


def test_storage_survives_a_server_that_restarts(postgres_server: Any, postgres_url: str) -> None:
    with opened(at(postgres_url)) as storage:
        study = optuna.create_study(storage=storage, study_name="restart")
        postgres_server.stop()
        postgres_server.start()
        assert study.ask().number == 0


def test_stopped_server_is_asked_again_and_then_named(
    postgres_server: Any, postgres_url: str
) -> None:
    postgres_server.stop()
    try:
        message, elapsed = refusal(at(postgres_url), patience_seconds=1.0)
    finally:
        postgres_server.start()
    assert f"127.0.0.1:{postgres_server.port}/shared within" in message
    assert "(Connection refused): start it" in message
    assert 0.4 < elapsed < AT_ONCE_SECONDS


def test_server_that_starts_late_is_waited_for(postgres_server: Any, postgres_url: str) -> None:
    postgres_server.stop()
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(open_study_storage, at(postgres_url), patience_seconds=60.0)
        time.sleep(0.7)
        assert not opening.done()
        postgres_server.start()
        opening.result(90).engine.dispose()


@pytest.mark.slow
def test_host_that_never_answers_is_given_up_after_the_patience() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"postgresql://u:sesame@127.0.0.1:{port}/d"
        message, elapsed = refusal(at(url), patience_seconds=10.0)
    assert f"postgresql://u@127.0.0.1:{port}/d" in message
    assert 8 < elapsed < 40


def test_name_server_that_never_answers_does_not_hold_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()
    monkeypatch.setattr("psycopg2.connect", lambda *_, **__: answered.wait(120))
    monkeypatch.setattr("storage.studies.CONNECT_SECONDS", 0.2)
    message, elapsed = refusal(at("postgresql://u:sesame@h/d"), patience_seconds=0.2)
    answered.set()
    assert "accepts no connection" in message
    assert elapsed < AT_ONCE_SECONDS
