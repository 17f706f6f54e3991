"""The Optuna storage that studies are kept in, opened once its database answers."""

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import quote

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from storage.connection import CONNECT_SECONDS, build_connect_arguments, explain, is_passing
from storage.database import URL_VARIABLE, Database
from storage.errors import DatabaseError

_PAUSE_SECONDS = 0.5
# A client that hangs inside a transaction must not stop the search for good.
_SESSION = {"lock_timeout": "30s", "idle_in_transaction_session_timeout": "60s"}
# Any number that nobody else takes: it stands for "the tables are being created".
_CREATION_KEY = 0x756E_6574_7461_626C


def open_study_storage(database: Database, *, patience_seconds: float = 10.0) -> RDBStorage:
    """Return the Optuna storage of a database, created where it is new.

    Args:
        database: Where the studies are kept.
        patience_seconds: How long a server that does not answer is asked again. A server that
            says no, and a file that cannot be used, are not asked twice.

    Raises:
        DatabaseError: The database cannot be reached or used, in one line without a password.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if database.is_sqlite:
            return _open_sqlite(database, patience_seconds)
        return _open_postgresql(database, patience_seconds)
    except (SQLAlchemyError, StorageInternalError, sqlite3.Error) as error:
        raise explain(database, error) from None
    except RuntimeError:
        # The only thing that Optuna says this way is that the tables are not those it knows.
        raise DatabaseError(
            f"the study database {database.shown} was made by another version of Optuna than "
            f"{optuna.__version__}: run `optuna storage upgrade`, or name another database"
        ) from None


def open_existing_storage(database: Database) -> RDBStorage | None:
    """Return the storage of a database that may hold studies, to be looked at.

    No SQLite file is made, and none that another program made is changed; one that cannot be
    written is opened all the same.

    Args:
        database: Where the studies are kept.

    Returns:
        The storage, or None where an SQLite file is missing or has no studies.

    Raises:
        DatabaseError: The database cannot be reached or used.
    """
    if not database.is_sqlite:
        return open_study_storage(database)
    path = Path(str(database.url.database))
    if not path.exists():
        return None
    try:
        if not _holds_studies(path):
            return None
        if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
            return open_study_storage(database)
        return _build_storage(database, creator=lambda: _connect_to_read(path))
    except (SQLAlchemyError, StorageInternalError, sqlite3.Error) as error:
        raise explain(database, error) from None


def _holds_studies(path: Path) -> bool:
    with closing(_connect_to_read(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {"studies", "trials"} <= {name for (name,) in tables}


def _connect_to_read(path: Path) -> sqlite3.Connection:
    # Where the folder cannot be written, SQLite cannot make the files that readers and writers
    # agree by; without a writer's log there is nothing to agree upon.
    alone = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    uri = f"file:{quote(str(path))}?mode=ro{'&immutable=1' if alone else ''}"
    # As SQLAlchemy connects: a pool hands a connection from one thread to another.
    return sqlite3.connect(uri, timeout=10.0, uri=True, check_same_thread=False)


def _build_storage(database: Database, **engine_arguments: Any) -> RDBStorage:
    url = database.url.render_as_string(hide_password=False)
    return RDBStorage(url, engine_kwargs=engine_arguments)


def _open_sqlite(database: Database, patience_seconds: float) -> RDBStorage:
    path = Path(str(database.url.database))
    with _creating_in(path.parent):
        with closing(sqlite3.connect(path, patience_seconds, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            # Finds out here and not in mid-search whether the file can be written.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        storage = _build_storage(database, connect_args=build_connect_arguments(database))
    event.listen(storage.engine, "connect", _sync_each_commit)
    # Optuna has connected already; the next connection is one that the listener sees.
    storage.engine.dispose()
    return storage


def _sync_each_commit(connection: sqlite3.Connection, _record: object) -> None:
    # With less a power cut may cost the last transactions: files that only these knew of, such as
    # a checkpoint that was handed on to another trial, would belong to nobody.
    connection.execute("PRAGMA synchronous = FULL")


@contextmanager
def _creating_in(folder: Path) -> Iterator[None]:
    """Make the folder, and let one process at a time create a database in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise DatabaseError(
            f"the folder of the study database {folder} cannot be made or read "
            f"({error.strerror}): choose another run folder or correct {URL_VARIABLE}"
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _open_postgresql(database: Database, patience_seconds: float) -> RDBStorage:
    arguments = build_connect_arguments(database, **_SESSION)
    engine = create_engine(
        database.url,
        connect_args=arguments,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    _wait_until_ready(database, engine, patience_seconds)
    with engine.connect() as connection:
        # Freed with the connection, however it ends.
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({_CREATION_KEY})")
        return _build_storage(database, connect_args=arguments, pool_pre_ping=True)


def _wait_until_ready(database: Database, engine: Engine, patience_seconds: float) -> None:
    start = time.monotonic()
    while (error := _try_to_connect(engine, start + patience_seconds)) is not None:
        if not is_passing(error):
            raise explain(database, error) from None
        elapsed = time.monotonic() - start
        if elapsed + _PAUSE_SECONDS > patience_seconds:
            raise explain(database, error, waited_seconds=elapsed) from None
        time.sleep(_PAUSE_SECONDS)


def _try_to_connect(engine: Engine, deadline: float) -> BaseException | None:
    """Return why a connection could not be made, or None when it could."""
    answers: SimpleQueue[BaseException | None] = SimpleQueue()

    def connect() -> None:
        try:
            engine.connect().close()
            answers.put(None)
        except Exception as error:
            answers.put(error)

    # The driver's limit is for each address of a host, and a name server has one of its own:
    # only a thread that may be left behind keeps the whole in bounds.
    threading.Thread(target=connect, daemon=True).start()
    try:
        return answers.get(timeout=max(deadline - time.monotonic(), 0.0) + CONNECT_SECONDS)
    except Empty:
        return TimeoutError("the server accepts no connection")
