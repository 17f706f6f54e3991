from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from storage.database import Database
from storage.errors import DatabaseError, StudyLocked
from storage.lock import StudyLock

ROOT = Path(__file__).parents[2]
# Holds the lock and has a child that outlives it, with every file handle that it may keep.
HOLDER = """
import pathlib, subprocess, sys, time
from sqlalchemy import make_url
from storage.database import Database
from storage.lock import StudyLock
database = Database(make_url(sys.stdin.readline().strip()))
lock = StudyLock(database, "mito")
lock.acquire()
child = subprocess.Popen(["sleep", "600"], stdin=-3, stdout=-3, stderr=-3, close_fds=False)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return Database(make_url(f"sqlite:///{tmp_path}/studies.db"))
    url = make_url(request.getfixturevalue("postgres_url"))
    return Database(url.set(drivername="postgresql+psycopg2"))


@contextmanager
def holding(database: Database, folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, str(folder)]
    process = subprocess.Popen(command, stdin=-1, stdout=-1, text=True, cwd=ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    child = 0
    try:
        process.stdin.write(database.url.render_as_string(hide_password=False) + "\n")
        process.stdin.flush()
        child = int(process.stdout.readline())
        yield process
    finally:
        process.kill()
        process.communicate()
        if child:
            subprocess.run(["kill", str(child)], check=True)


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return met


def can_take(lock: StudyLock) -> bool:
    try:
        lock.acquire()
    except StudyLocked:
        return False
    return True


def test_lock_is_held_until_it_is_released(database: Database, tmp_path: Path) -> None:
    lock = StudyLock(database, "mito")
    assert not lock.held()
    with lock:
        assert lock.held()
    assert not lock.held()
    lock.release()
    with lock:
        assert lock.held()


def test_second_coordinator_is_told_who_holds_the_study(database: Database, tmp_path: Path) -> None:
    with holding(database, tmp_path) as holder:
        with pytest.raises(StudyLocked, match=f"'mito'.*process {holder.pid} on") as caught:
            StudyLock(database, "mito").acquire()
        assert "\n" not in str(caught.value)
        with StudyLock(database, "another") as other:
            assert other.held()


def test_same_lock_twice_is_refused_and_stays_held(database: Database, tmp_path: Path) -> None:
    with StudyLock(database, "mito") as lock:
        with pytest.raises(StudyLocked):
            lock.acquire()
        assert lock.held()


def test_killed_holder_frees_the_lock_though_its_children_live(
    database: Database, tmp_path: Path
) -> None:
    lock = StudyLock(database, "mito")
    with holding(database, tmp_path) as holder:
        assert not can_take(lock)
        holder.kill()
        assert within(60.0, lambda: can_take(lock))
        assert lock.held()
        lock.release()


def test_holder_is_named_to_whoever_asks_and_nobody_is_made_one(
    database: Database, tmp_path: Path
) -> None:
    lock = StudyLock(database, "mito")
    assert lock.holder() is None
    with holding(database, tmp_path) as holder:
        told = lock.holder()
        assert told is not None
        assert re.fullmatch(r"process \d+ on \S.*", told)
        assert f"process {holder.pid} " in told
        assert StudyLock(database, "other").holder() is None
        holder.kill()
        assert within(60.0, lambda: lock.holder() is None)
    assert not lock.held()


def test_holder_in_another_database_of_the_server_is_none_of_this(postgres_server: Any) -> None:
    urls = (postgres_server.url(), postgres_server.create_database("beside"))
    here, beside = (
        StudyLock(Database(make_url(url).set(drivername="postgresql+psycopg2")), "mito")
        for url in urls
    )
    with beside:
        assert here.holder() is None
        assert beside.holder() is not None


def test_a_look_at_the_lock_keeps_nobody_from_taking_it(tmp_path: Path) -> None:
    database = Database(make_url(f"sqlite:///{tmp_path}/x.db"))
    lock, stop = StudyLock(database, "mito"), threading.Event()

    def look() -> None:
        while not stop.is_set():
            StudyLock(database, "mito").holder()
            time.sleep(0.002)

    with ThreadPoolExecutor(2) as pool:
        looks = [pool.submit(look) for _ in range(2)]
        try:
            for _ in range(100):
                with lock:
                    pass
        finally:
            # The pool waits for them, whatever has gone wrong.
            stop.set()
    for each in looks:
        each.result()


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".", "a\0b"])
def test_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be locked"):
        StudyLock(Database(make_url("sqlite:///x.db")), name)


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lock = StudyLock(Database(make_url(f"sqlite:///{tmp_path}/file/runs/x.db")), "mito")
    with pytest.raises(DatabaseError, match=r"mito\.lock cannot be written \(Not a directory\)"):
        lock.acquire()


def test_deleted_lock_file_is_a_lost_lock(tmp_path: Path) -> None:
    with StudyLock(Database(make_url(f"sqlite:///{tmp_path}/x.db")), "mito") as lock:
        (tmp_path / "mito.lock").unlink()
        assert not lock.held()


@pytest.mark.parametrize("taken_away", ["mito.lock", "x.db"])
def test_files_taken_away_in_mid_search_are_noticed(tmp_path: Path, taken_away: str) -> None:
    (tmp_path / "x.db").touch()
    with StudyLock(Database(make_url(f"sqlite:///{tmp_path}/x.db")), "mito") as lock:
        lock.keep()
        (tmp_path / taken_away).unlink()
        with pytest.raises(DatabaseError, match=r"x\.db was deleted or moved"):
            lock.keep()


def test_lost_lock_is_taken_again_unless_another_has_it(tmp_path: Path) -> None:
    (tmp_path / "x.db").touch()
    database = Database(make_url(f"sqlite:///{tmp_path}/x.db"))
    with StudyLock(database, "mito") as lock:
        lock.keep()
        _replace(tmp_path / "mito.lock")
        lock.keep()
        assert lock.held()
        _replace(tmp_path / "mito.lock")
        with StudyLock(database, "mito"), pytest.raises(StudyLocked):
            lock.keep()


def _replace(path: Path) -> None:
    path.unlink()
    path.touch()


def test_lock_whose_session_ended_is_lost_for_good(postgres_server: Any, tmp_path: Path) -> None:
    url = make_url(postgres_server.url()).set(drivername="postgresql+psycopg2")
    with StudyLock(Database(url), "cut") as lock:
        assert lock.held()
        postgres_server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name ~ '^unet-search, process'"
        )
        # The server ends a session some time after it was told to.
        assert within(60.0, lambda: not lock.held())
        assert not lock.held()
        again = StudyLock(Database(url), "cut")
        assert within(60.0, lambda: can_take(again))
        again.release()


def test_lock_that_is_freed_while_its_holder_is_looked_for_is_taken(
    postgres_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_url(postgres_server.url()).set(drivername="postgresql+psycopg2")
    lock, other = (StudyLock(Database(url), "freed") for _ in range(2))

    def find_nothing_to_end(connection: Any) -> bool:
        other.release()
        assert within(60.0, lambda: lock.holder() is None)
        return False

    monkeypatch.setattr(lock._claim, "_end_lost_session", find_nothing_to_end)
    other.acquire()
    with lock:
        assert lock.held()


def test_waiting_session_is_in_no_transaction(postgres_server: Any, tmp_path: Path) -> None:
    url = make_url(postgres_server.url()).set(drivername="postgresql+psycopg2")
    with StudyLock(Database(url), "idle"):
        postgres_server.execute(
            "DO $$ BEGIN ASSERT (SELECT bool_and(state = 'idle') FROM pg_stat_activity"
            " WHERE application_name ~ '^unet-search, process'); END $$"
        )


def test_lock_is_lost_with_its_server_and_can_be_taken_again(
    postgres_server: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = make_url(postgres_server.url()).set(drivername="postgresql+psycopg2")
    noticed, unnoticed = (StudyLock(Database(url), name) for name in "ab")
    noticed.acquire()
    unnoticed.acquire()
    postgres_server.stop()
    assert not noticed.held()
    unnoticed.release()
    with pytest.raises(DatabaseError, match="Connection refused"):
        noticed.acquire()
    postgres_server.start()
    assert not noticed.held()
    with noticed:
        assert noticed.held()
    assert capfd.readouterr().err == ""
