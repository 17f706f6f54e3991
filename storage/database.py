"""Which database holds the studies: its URL from the environment, its password from a file."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from storage.errors import DatabaseError

URL_VARIABLE = "UNET_SEARCH_DATABASE_URL"
PASSWORD_VARIABLE = "UNET_SEARCH_DATABASE_PASSWORD_FILE"

_EXPECTED = "expected postgresql://USER@HOST:5432/NAME or sqlite:////FOLDER/studies.db"


@dataclass(frozen=True)
class Database:
    """Where the studies are kept; shows everything of its URL but the password."""

    url: URL = field(repr=False)

    def __repr__(self) -> str:
        return f"Database({self.shown})"

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file that this computer opens itself."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def shown(self) -> str:
        """The URL for messages: without password and without options."""
        if self.is_sqlite:
            return f"sqlite:///{self.url.database}"
        url = self.url
        shown = URL.create("postgresql", url.username, None, url.host, url.port, url.database)
        return shown.render_as_string()


def database_from_environment(
    run_folder: Path, environ: Mapping[str, str] = os.environ
) -> Database:
    """Return the database that the environment names, else an SQLite file in the run folder.

    Args:
        run_folder: Where `studies.db` lies when the environment names no database.
        environ: Holds `UNET_SEARCH_DATABASE_URL` and, where a file holds the password,
            `UNET_SEARCH_DATABASE_PASSWORD_FILE`. Empty counts as not set.

    Raises:
        DatabaseError: The URL is of no kind that can be used, or the password cannot be read.
    """
    text = environ.get(URL_VARIABLE, "").strip()
    if not text:
        return Database(_sqlite_url(str(run_folder / "studies.db")))
    url = _parse(text)
    if url.get_backend_name() == "sqlite":
        return Database(_checked_sqlite_url(url))
    password_file = environ.get(PASSWORD_VARIABLE, "")
    return Database(url.set(password=_read_password(Path(password_file))) if password_file else url)


def _parse(text: str) -> URL:
    # No message quotes the text or what the parser says of it: a password with an "@" or a ":"
    # that is not percent-encoded ends up in its host, its port or its database.
    if text.count("@") > 1:
        raise DatabaseError(
            f"{URL_VARIABLE} holds more than one '@': write those of the password as %40, "
            f"or put the password into a file and its path into {PASSWORD_VARIABLE}"
        )
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise DatabaseError(f"{URL_VARIABLE} is not the URL of a database: {_EXPECTED}") from None
    return _with_driver(url)


def _with_driver(url: URL) -> URL:
    """Name the driver that is installed, whichever the URL names."""
    backend = url.drivername.partition("+")[0]
    if backend == "sqlite":
        return url.set(drivername="sqlite")
    if backend in ("postgresql", "postgres"):
        return _without_password_option(url.set(drivername="postgresql+psycopg2"))
    raise DatabaseError(f"{URL_VARIABLE} begins with {backend}://: {_EXPECTED}")


def _without_password_option(url: URL) -> URL:
    """Move `?password=` to where SQLAlchemy knows it as a secret."""
    password = url.query.get("password")
    if not isinstance(password, str):
        return url
    return url.set(password=password).difference_update_query(["password"])


def _checked_sqlite_url(url: URL) -> URL:
    path = url.database
    if not path or path == ":memory:" or url.query:
        raise DatabaseError(
            f"{URL_VARIABLE} must name a file and nothing else of SQLite, as in "
            "sqlite:////FOLDER/studies.db: a database in memory is gone with its process"
        )
    return _sqlite_url(path)


def _sqlite_url(path: str) -> URL:
    # Absolute, because the dashboard and the workers may start in another folder.
    return URL.create("sqlite", database=str(Path(path).absolute()))


def _read_password(path: Path) -> str:
    try:
        password = path.read_text(encoding="utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise DatabaseError(f"{PASSWORD_VARIABLE}: {path} is not a text in UTF-8") from None
    except OSError as error:
        raise DatabaseError(
            f"{PASSWORD_VARIABLE}: {path} cannot be read ({error.strerror}): "
            "make it a file that this user may read"
        ) from None
    if not password:
        raise DatabaseError(f"{PASSWORD_VARIABLE}: {path} is empty: write the password into it")
    return password
