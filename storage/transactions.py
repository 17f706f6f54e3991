"""Transactions that outlast an outage of their database: done once, or told as failed."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar, cast

from optuna.exceptions import StorageInternalError
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from storage.connection import explain, is_passing
from storage.database import Database
from storage.errors import DatabaseError

T = TypeVar("T")
Work = Callable[[Connection], T]

_PAUSE_SECONDS = 0.5
_SETTLING_SECONDS = 10.0
# Connection exceptions, deadlocks, a lock or a client that hung, a server that shuts down.
_PASSING_CODES = ("08", "25P03", "40", "55P03", "57P")
# Driven by hand: that makes the begin and the transaction's number one trip to the server, and
# SQLite take its write lock before the first look instead of after it.
_WRITE = {"postgresql": "BEGIN; SELECT txid_current()", "sqlite": "BEGIN IMMEDIATE"}
_READ = {
    "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    "sqlite": "BEGIN",
}


class Transactions:
    """Runs one transaction after the other on a connection of its own; for one thread at a time.

    A database server that goes away is waited for, and what was under way is done again. A commit
    whose answer was lost is looked up by the server's own number of the transaction, so that
    nothing is done twice. An SQLite file is not waited for beyond its busy timeout.
    """

    def __init__(
        self,
        database: Database,
        engine: Engine,
        *,
        outage_seconds: float = 0.0,
        on_outage: Callable[[DatabaseError], None] = lambda error: None,
        on_return: Callable[[], None] = lambda: None,
    ) -> None:
        """Connects to nothing yet.

        Args:
            database: For messages.
            engine: Of that database.
            outage_seconds: How long an outage is waited for; a connection that was lost is made
                anew once in any case.
            on_outage: Called before every pause with what is wrong; may raise to end the waiting.
            on_return: Called when there is a connection again, before anything is done on it; may
                raise. A DatabaseError counts as the outage going on.
        """
        self._database = database
        self._engine = engine
        self._outage_seconds = outage_seconds
        self._on_outage = on_outage
        self._on_return = on_return
        self._connection: Connection | None = None
        self.given_up = False
        """Whether the last call has failed: nothing is waited for until one succeeds."""

    def write(self, work: Work[T]) -> T:
        """Runs `work` in a transaction that is durable on return; it may run more than once.

        Raises:
            DatabaseError: The transaction failed, and nothing of it was written; after an outage
                that went on for too long its commit may be in doubt.
        """
        return self.reach(partial(self._transact, work, _WRITE[self._engine.dialect.name]))

    def read(self, work: Work[T]) -> T:
        """Runs `work`, which only reads, on one state of the database.

        Raises:
            DatabaseError: The database cannot be read.
        """
        return self.reach(partial(self._transact, work, _READ[self._engine.dialect.name]))

    def reach(self, attempt: Callable[[], T]) -> T:
        """Runs what connects by itself, again where an outage came between.

        Raises:
            DatabaseError: The database cannot be used.
        """
        try:
            result = self._reach(attempt)
        except DatabaseError:
            self.given_up = True
            raise
        self.given_up = False
        return result

    def _reach(self, attempt: Callable[[], T]) -> T:
        again, since = attempt, None
        while True:
            try:
                return again()
            except _InDoubt as doubt:
                error: Exception = doubt.error
                again = partial(self._settle, doubt, attempt)
            except (DBAPIError, StorageInternalError, TimeoutError) as caught:
                error = caught
            self._drop()
            if not self._is_outage(error):
                raise explain(self._database, error) from None
            at_once = since is None
            since = since or time.monotonic()
            self._wait_for_return(error, since, at_once=at_once)

    def close(self) -> None:
        """Gives the connection back; the next transaction makes another one."""
        self._drop()

    def _transact(self, work: Work[T], begin: str) -> T:
        connection = self._connect()
        try:
            begun = connection.exec_driver_sql(begin)
            number = begun.scalar() if begun.returns_rows else None
            result = work(connection)
        except BaseException:
            self._roll_back()
            raise
        self._commit(connection, number, result)
        return result

    def _commit(self, connection: Connection, number: int | None, result: object) -> None:
        try:
            connection.exec_driver_sql("COMMIT")
        except DBAPIError as error:
            self._roll_back()
            if number is not None and self._is_outage(error):
                raise _InDoubt(error, number, result) from None
            raise
        except BaseException:
            self._roll_back()
            raise

    def _settle(self, doubt: "_InDoubt", attempt: Callable[[], T]) -> T:
        """Returns the result of a transaction that was committed, or else runs it again."""
        status = self._connect().execute(text("SELECT txid_status(:n)"), {"n": doubt.number})
        match status.scalar():
            case "committed":
                return cast(T, doubt.result)
            case "in progress":
                # The server has not noticed yet that nobody listens.
                raise TimeoutError("a transaction that was cut off has not ended yet")
        return attempt()

    def _wait_for_return(self, error: Exception, since: float, *, at_once: bool) -> None:
        while True:
            if not at_once:
                self._pause(error, since)
            at_once = False
            self._drop()
            # What is left in the pool was connected to the server that is gone.
            self._engine.dispose()
            try:
                self._connect().exec_driver_sql("SELECT 1")
                self._on_return()
            except (DBAPIError, DatabaseError) as again:
                if isinstance(again, DBAPIError) and not self._is_outage(again):
                    raise explain(self._database, again) from None
                error = again
            else:
                return

    def _pause(self, error: Exception, since: float) -> None:
        waited = time.monotonic() - since
        unsettled = isinstance(error, TimeoutError)
        outage = 0.0 if self.given_up else self._outage_seconds
        patience = max(outage, _SETTLING_SECONDS if unsettled else 0.0)
        if waited + _PAUSE_SECONDS > patience:
            raise self._explain(error, waited) from None
        self._on_outage(self._explain(error, waited))
        time.sleep(_PAUSE_SECONDS)

    def _explain(self, error: Exception, waited_seconds: float) -> DatabaseError:
        if isinstance(error, DatabaseError):
            return error
        unanswered = self._outage_seconds and _code(error) is None
        return explain(self._database, error, waited_seconds=waited_seconds if unanswered else None)

    def _is_outage(self, error: Exception) -> bool:
        if self._database.is_sqlite:
            return False
        cause = _sqlalchemy_error(error)
        if isinstance(cause, DBAPIError) and cause.connection_invalidated:
            return True
        code = _code(error)
        return is_passing(cause) if code is None else code.startswith(_PASSING_CODES)

    def _connect(self) -> Connection:
        if self._connection is None:
            connection = self._engine.connect()
            self._connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        return self._connection

    def _roll_back(self) -> None:
        try:
            if self._connection is not None:
                self._connection.exec_driver_sql("ROLLBACK")
        except SQLAlchemyError:
            # Lost, or SQLite has rolled back by itself: a new one is in no transaction.
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.invalidate()
            connection.close()


class _InDoubt(Exception):  # noqa: N818 - no error by itself: the transaction may stand
    """The connection was lost between the commit and its answer."""

    def __init__(self, error: DBAPIError, number: int, result: object) -> None:
        super().__init__(str(error))
        self.error = error
        self.number = number
        self.result = result


def _sqlalchemy_error(error: BaseException) -> BaseException:
    # Optuna's own transactions wrap what SQLAlchemy raises.
    cause = error.__cause__
    return cause if isinstance(error, StorageInternalError) and cause is not None else error


def _code(error: BaseException) -> str | None:
    """Returns what a server answered; None where it did not."""
    cause = _sqlalchemy_error(error)
    code = getattr(cause.orig, "pgcode", None) if isinstance(cause, DBAPIError) else None
    return code if isinstance(code, str) else None
