"""One coordinator per study: a lock that the end of its process frees, however it ends."""

import contextlib
import fcntl
import hashlib
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from storage.connection import build_connect_arguments, explain
from storage.database import Database
from storage.errors import DatabaseError, StudyLocked

# PostgreSQL notices a coordinator whose computer vanished after 5 + 3 * 5 s.
_KEEPALIVES = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
_NAME = "unet-search, "
_ENDING_SECONDS = 5.0
# Whoever asks who holds a file's lock shares it for microseconds.
_LOOKS, _LOOK_SECONDS = 4, 0.05


class StudyLock:
    """Holds a study for one coordinator.

    A file beside the database is locked in SQLite, an advisory lock is taken in PostgreSQL.
    Either is gone with the process that took it, and not handed on to the programs that it
    starts.
    """

    def __init__(self, database: Database, study_name: str) -> None:
        if not study_name or study_name.startswith(".") or set("/\0") & set(study_name):
            raise ValueError(f"a study cannot be locked under the name {study_name!r}")
        self._study_name = study_name
        self._files: tuple[Path, ...] = ()
        self._claim: _Claim
        if database.is_sqlite:
            path = Path(str(database.url.database)).absolute()
            lock = path.with_name(f"{study_name}.lock")
            self._files = (path, lock)
            self._claim = _FileClaim(lock)
        else:
            self._claim = _SessionClaim(database, study_name)

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            StudyLocked: Another coordinator holds it.
            DatabaseError: The lock's folder or server cannot be used.
        """
        holder = self._claim.take()
        if holder is not None:
            raise StudyLocked(
                f"study {self._study_name!r} is already run by {holder}: "
                "stop that one first, or give this study another name"
            )

    def holder(self) -> str | None:
        """Return who runs the study at the moment, or None where nobody does.

        Raises:
            DatabaseError: The lock's server cannot be used.
        """
        return self._claim.holder()

    def keep(self) -> None:
        """Take the lock again where it was lost, as with a server that was restarted.

        Raises:
            StudyLocked: Another coordinator has taken it meanwhile.
            DatabaseError: The lock's server cannot be used, or its files were taken away.
        """
        if self._files and not all(path.exists() for path in self._files):
            # What is written now would be in a deleted file.
            raise DatabaseError(
                f"the study database {self._files[0]} was deleted or moved while it was in use"
            )
        if not self.held():
            self.acquire()

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        self._claim.drop()

    def held(self) -> bool:
        """Return whether the lock is still this one's; once lost, it stays lost."""
        return self._claim.stands()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class _Claim(Protocol):
    def take(self) -> str | None:
        """Take the lock, or return who holds it."""

    def holder(self) -> str | None: ...

    def drop(self) -> None: ...

    def stands(self) -> bool: ...


def _this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _taken(handle: int) -> bool:
    """Takes a file's lock, as soon as nobody looks at it any more."""
    for _ in range(_LOOKS):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOOK_SECONDS)
        else:
            return True
    return False


class _FileClaim:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def take(self) -> str | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise DatabaseError(
                f"the lock {self._path} cannot be written ({error.strerror}): "
                "choose a run folder that this user may write"
            ) from None
        return self._lock(handle)

    def holder(self) -> str | None:
        try:
            handle = os.open(self._path, os.O_RDONLY)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._read_holder(handle)
        finally:
            os.close(handle)
        return None

    @staticmethod
    def _read_holder(handle: int) -> str:
        return os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"

    def _lock(self, handle: int) -> str | None:
        if not _taken(handle):
            holder = self._read_holder(handle)
            os.close(handle)
            return f"{holder} (lock {self._path})"
        # Who holds it is for people to read: a full disk does not stand in the way of the lock.
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{_this_process()}\n".encode(), 0)
        self._handle = handle
        return None

    def drop(self) -> None:
        # The file stays: whoever waits for a lock on a deleted file would share it with nobody.
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def stands(self) -> bool:
        try:
            return self._handle is not None and os.path.samestat(
                os.fstat(self._handle), self._path.stat()
            )
        except OSError:
            return False


class _SessionClaim:
    def __init__(self, database: Database, study_name: str) -> None:
        self._database = database
        digest = hashlib.sha256(f"unet-search:{study_name}".encode()).digest()
        self._key = int.from_bytes(digest[:8], "big", signed=True)
        self._connection: Connection | None = None
        self._session: tuple[int, str] | None = None

    def take(self) -> str | None:
        try:
            connection = self._connect()
            if holder := self._contend(connection):
                connection.close()
                return f"{holder} (lock in {self._database.shown})"
            self._session = self._describe_session(connection)
            self._connection = connection
            return None
        except SQLAlchemyError as error:
            raise explain(self._database, error) from None

    def _contend(self, connection: Connection) -> str | None:
        """Takes the lock for the session, or tells who holds it."""
        if self._try(connection):
            return None
        if self._end_lost_session(connection) and self._wait(connection):
            return None
        holder = self._ask_holder(connection)
        # Whoever held it may be gone since, as a lost session that ended by itself.
        if holder is None and self._try(connection):
            return None
        return holder or self._ask_holder(connection) or "another session"

    def holder(self) -> str | None:
        try:
            with contextlib.closing(self._connect()) as connection:
                return self._ask_holder(connection)
        except SQLAlchemyError as error:
            raise explain(self._database, error) from None

    def _ask_holder(self, connection: Connection) -> str | None:
        holder = self._ask(connection, _HOLDER.format(key=self._key))
        return None if holder is None else str(holder).removeprefix(_NAME)

    def _connect(self) -> Connection:
        arguments = build_connect_arguments(self._database, **_KEEPALIVES)
        # The server cuts names at 63 bytes; this one is what a second coordinator is told.
        arguments["application_name"] = f"{_NAME}{_this_process()}"
        engine = create_engine(
            self._database.url,
            connect_args=arguments,
            poolclass=NullPool,
            # Otherwise the session would sit in a transaction for as long as the search runs.
            isolation_level="AUTOCOMMIT",
        )
        return engine.connect()

    def _try(self, connection: Connection) -> bool:
        return self._ask(connection, f"SELECT pg_try_advisory_lock({self._key})") is True

    def _wait(self, connection: Connection) -> bool:
        """Tries until the server has ended the lost session, which takes it milliseconds."""
        deadline = time.monotonic() + _ENDING_SECONDS
        while not (taken := self._try(connection)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return taken

    def _end_lost_session(self, connection: Connection) -> bool:
        """Ends this lock's own session before: a server may notice late that nobody is there."""
        if self._connection is not None or self._session is None:
            return False
        return self._ask(connection, _END_SESSION, self._session) is True

    @staticmethod
    def _describe_session(connection: Connection) -> tuple[int, str]:
        process, start = connection.exec_driver_sql(_THIS_SESSION).one()
        return process, start

    @staticmethod
    def _ask(connection: Connection, statement: str, values: tuple[object, ...] = ()) -> object:
        return connection.exec_driver_sql(statement, values or None).scalar()

    def drop(self) -> None:
        self._session = None
        self._lose()

    def _lose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def stands(self) -> bool:
        if self._connection is None:
            return False
        try:
            self._ask(self._connection, "SELECT 1")
        except SQLAlchemyError:
            # Given up for good: SQLAlchemy can connect anew, but then without the lock.
            self._lose()
            return False
        return True


# The start tells a session from a later one of the same process number.
_THIS_SESSION = """
    SELECT pid, extract(epoch FROM backend_start)::text
    FROM pg_stat_activity WHERE pid = pg_backend_pid()
"""
_END_SESSION = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid = %s AND extract(epoch FROM backend_start)::text = %s
"""
_HOLDER = """
    SELECT coalesce(nullif(application_name, ''), 'session ' || pid)
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND pg_database.datname = current_database()
        AND (classid::bigint << 32 | objid::bigint) = {key}
"""
