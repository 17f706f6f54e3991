from __future__ import annotations

import sqlite3

import optuna
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from storage.connection import build_connect_arguments, explain, is_passing
from storage.database import Database

POSTGRESQL = Database(make_url("postgresql+psycopg2://u:sesame@h:5432/d"))
SQLITE = Database(make_url("sqlite:////folder/studies.db"))
SERVER = 'connection to server at "h" (10.0.0.1), port 5432 failed: '


def raised(text: str, kind: type[DBAPIError] = OperationalError) -> DBAPIError:
    return kind("SELECT 1", {}, Exception(text))


@pytest.mark.parametrize(
    "text",
    [
        SERVER + "Connection refused\n\tIs the server running there?",
        SERVER + "timeout expired",
        'could not translate host name "h" to address: Name or service not known',
        SERVER + "FATAL:  the database system is starting up",
        SERVER + "FATAL:  sorry, too many clients already",
    ],
)
def test_server_that_is_not_there_yet_is_asked_again(text: str) -> None:
    assert is_passing(raised(text))


@pytest.mark.parametrize(
    "error",
    [
        raised(SERVER + 'FATAL:  password authentication failed for user "u"'),
        raised(SERVER + "FATAL:  Passwort-Authentifizierung fehlgeschlagen"),
        raised(SERVER + "fe_sendauth: no password supplied"),
        raised(SERVER + "server does not support SSL, but SSL was required"),
        raised("invalid dsn", ProgrammingError),
    ],
)
def test_answer_that_time_does_not_change_is_final(error: DBAPIError) -> None:
    assert not is_passing(error)


def test_message_is_one_line_without_statement_and_password() -> None:
    error = raised(SERVER + "FATAL:  sesame is no word\nDETAIL:  look\n")
    message = str(explain(POSTGRESQL, error))
    assert message.startswith("the study database postgresql://u@h:5432/d cannot be used")
    assert "(*** is no word)" in message
    assert not {"sesame", "SELECT", "\n"} & {*message.split(), *message}


def test_error_that_optuna_wraps_is_looked_into() -> None:
    wrapped = optuna.exceptions.StorageInternalError("An exception is raised during the commit.")
    wrapped.__cause__ = raised("disk quota reached")
    assert "(disk quota reached)" in str(explain(POSTGRESQL, wrapped))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SQLITE_READONLY_DIRECTORY", "cannot be written"),
        ("SQLITE_BUSY", "held by another program"),
        ("SQLITE_FULL", r"cannot be used \(told\)"),
    ],
)
def test_sqlite_errors_are_told_apart(name: str, expected: str) -> None:
    error = sqlite3.OperationalError("told")
    error.sqlite_errorname = name
    with pytest.raises(Exception, match=f"/folder/studies.db.*{expected}"):
        raise explain(SQLITE, OperationalError("SELECT 1", {}, error))


def test_session_settings_are_for_the_server_only() -> None:
    assert build_connect_arguments(SQLITE, lock_timeout="1s") == {"timeout": 60.0}
    arguments = build_connect_arguments(POSTGRESQL, lock_timeout="1s", search_path="x")
    assert arguments["options"] == "-c lock_timeout=1s -c search_path=x"
