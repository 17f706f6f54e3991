from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import URL

from storage.database import Database, database_from_environment
from storage.errors import DatabaseError

URL_VARIABLE = "UNET_SEARCH_DATABASE_URL"
PASSWORD_VARIABLE = "UNET_SEARCH_DATABASE_PASSWORD_FILE"


def read(url: str, **environ: str) -> Database:
    return database_from_environment(Path("runs"), {URL_VARIABLE: url, **environ})


@pytest.mark.parametrize("environ", [{}, {URL_VARIABLE: ""}])
def test_default_is_an_sqlite_file_in_the_run_folder(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    database = database_from_environment(tmp_path, environ)
    assert database.is_sqlite
    assert database.url.database == str(tmp_path / "studies.db")


def test_sqlite_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read("sqlite:///here.db").url.database == str(tmp_path / "here.db")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgres+x"])
def test_postgresql_is_spoken_to_by_the_driver_that_is_installed(scheme: str) -> None:
    assert read(f"{scheme}://u@h/d").url.drivername == "postgresql+psycopg2"


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=6))
def test_password_is_never_shown(password: str) -> None:
    secret = f"<{password}>"
    url = URL.create("postgresql", "user", secret, "host", 5432, "name")
    database = read(url.render_as_string(hide_password=False))
    assert database.url.password == secret
    assert database.shown == "postgresql://user@host:5432/name"
    assert secret not in repr(database) + str(database)


def test_password_in_the_options_of_the_url_is_a_password_as_well() -> None:
    database = read("postgresql://u@h/d?password=sesame&sslmode=require")
    assert database.url.password == "sesame"
    assert dict(database.url.query) == {"sslmode": "require"}


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_password_comes_from_its_file_without_the_end_of_line(tmp_path: Path, end: str) -> None:
    file = tmp_path / "password"
    file.write_bytes(f" se@same {end}".encode())
    database = read("postgresql://u:other@h/d", **{PASSWORD_VARIABLE: str(file)})
    assert database.url.password == " se@same "


@pytest.mark.parametrize(
    ("content", "expected"), [(None, "No such file"), (b"\n", "empty"), (b"\xff", "UTF-8")]
)
def test_password_file_of_no_use_is_named(
    tmp_path: Path, content: bytes | None, expected: str
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DatabaseError, match=f"{PASSWORD_VARIABLE}.*{file}.*{expected}") as caught:
        read("postgresql://u@h/d", **{PASSWORD_VARIABLE: str(file)})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "studies.db",
        "mysql://u:sesame@h/d",
        "postgresql://u:se@same@h/d",
        "postgresql://u:se@sam:sesame@h/d",
        "postgresql://u:x@h:sesame/d",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///a.db?mode=ro",
    ],
)
def test_url_of_no_use_is_refused_in_one_line_without_its_secrets(url: str) -> None:
    with pytest.raises(DatabaseError, match=URL_VARIABLE) as caught:
        read(url)
    assert "\n" not in str(caught.value)
    assert "same" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
