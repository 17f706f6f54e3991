"""How a database is connected to, and in one line why it is not."""

import sqlite3
from typing import Any

from sqlalchemy.exc import DBAPIError, OperationalError

from storage.database import PASSWORD_VARIABLE, URL_VARIABLE, Database
from storage.errors import DatabaseError

# One attempt at one address; libpq takes nothing below 2.
CONNECT_SECONDS = 3

# A server that says one of these will take the connection a little later.
_PASSING = (
    "starting up",
    "shutting down",
    "recovery mode",
    "accepting connections",
    "too many clients",
    "remaining connection slots",
    "too many connections",
)
# Everything else that a server or its client library says no with; time changes none of it.
_REFUSALS = ("FATAL:", "no password supplied", "SSL was required", "certificate")


def build_connect_arguments(database: Database, **settings: str) -> dict[str, Any]:
    """Return the arguments with which the driver connects.

    What the URL says itself goes before.

    Args:
        database: The database to connect to.
        settings: Server settings of the session, such as `lock_timeout="30s"`; PostgreSQL only.
    """
    if database.is_sqlite:
        return {"timeout": 60.0}
    arguments = {
        "connect_timeout": CONNECT_SECONDS,
        # A peer that vanished is given up after 5 + 3 * 5 s.
        "keepalives": 1,
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
        "application_name": "unet-search",
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }
    return {name: value for name, value in arguments.items() if name not in database.url.query}


def is_passing(error: BaseException) -> bool:
    """Return whether another attempt may find the database there."""
    if isinstance(error, TimeoutError):
        return True
    if not isinstance(error, OperationalError):
        return False
    text = str(error.orig)
    return any(word in text for word in _PASSING) or not any(word in text for word in _REFUSALS)


def explain(
    database: Database, error: BaseException, *, waited_seconds: float | None = None
) -> DatabaseError:
    """Return the error to raise for what the driver said, in one line and without a password.

    Args:
        database: The database that was asked.
        error: What SQLAlchemy, Optuna or the driver raised.
        waited_seconds: How long the database was asked again and again, if it was.
    """
    cause = _driver_error(error)
    line = _masked(database, _one_line(str(cause)) or type(cause).__name__)
    if waited_seconds is not None:
        return DatabaseError(
            f"no answer from the study database {database.shown} within {waited_seconds:.0f} s "
            f"({line}): start it, or correct {URL_VARIABLE}"
        )
    if isinstance(cause, sqlite3.Error):
        return DatabaseError(_explain_sqlite(database, cause, line))
    return DatabaseError(_explain_postgresql(database, cause, line))


def _driver_error(error: BaseException) -> BaseException:
    # Optuna wraps SQLAlchemy's errors, and SQLAlchemy the driver's.
    if isinstance(error.__cause__, DBAPIError):
        error = error.__cause__
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _one_line(text: str) -> str:
    """Return the line of a driver's message that holds the cause."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # libpq tries each address, with and without SSL: what a server said beats what a client did.
    line = next((line for line in reversed(lines) if "FATAL:" in line), lines[0] if lines else "")
    return line.rpartition(" failed: ")[2].replace("FATAL:", "").strip()


def _masked(database: Database, line: str) -> str:
    password = str(database.url.password or "")
    return line.replace(password, "***") if password else line


def _explain_sqlite(database: Database, error: sqlite3.Error, line: str) -> str:
    path, name = database.url.database, getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_NOTADB"):
        return f"{path} is not an SQLite database: move it away, or correct {URL_VARIABLE}"
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
        return (
            f"the study database {path} cannot be written ({line}): choose a folder and a file "
            "that this user may write"
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"the study database {path} is held by another program: stop it and try again"
    return f"the study database {path} cannot be used ({line}): choose another file"


def _explain_postgresql(database: Database, error: BaseException, line: str) -> str:
    shown, state = database.shown, getattr(error, "pgcode", None)
    if "password authentication failed" in line or "no password supplied" in line:
        return (
            f"the study database {shown} refused user and password ({line}): correct "
            f"{URL_VARIABLE} or the file that {PASSWORD_VARIABLE} names"
        )
    if "does not exist" in line and state is None:
        return f"the study database {shown} refused: {line}: create it, or correct {URL_VARIABLE}"
    if state == "42501":
        return (
            f"the study database {shown} forbids ({line}): grant it to user {database.url.username}"
        )
    if state == "25006":
        return f"the study database {shown} is read-only ({line}): name one that can be written"
    return (
        f"the study database {shown} cannot be used ({line}): correct {URL_VARIABLE} or the server"
    )
