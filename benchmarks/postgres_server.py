"""A PostgreSQL server of a benchmark's own, with the durability that a server has by default."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self

from sqlalchemy import URL, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from storage.database import Database

_USER = "benchmark"
_START_SECONDS = 30.0


class PostgresServer:
    """Runs from `with` to its end, on a free port of 127.0.0.1, in a folder that goes with it."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._password = secrets.token_hex(16)
        self._user = _unprivileged_user()
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._folder = _make_folder(self._user)
        try:
            self._initialize()
            self._start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._remove()

    def create_database(self, name: str) -> Database:
        """Creates an empty database."""
        self.execute(f"CREATE DATABASE {name}")
        return self._database(name)

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Runs statements, each in a transaction of its own."""
        engine = create_engine(
            self._database(database).url, poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def commit_ms(self) -> float:
        """Measures what the smallest durable transaction costs, the median of 50."""
        engine = create_engine(
            self._database("postgres").url, poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS commits (number int)")
            seconds = []
            for number in range(50):
                start = time.perf_counter()
                connection.exec_driver_sql(f"INSERT INTO commits VALUES ({number})")
                seconds.append(time.perf_counter() - start)
        return 1000 * median(seconds)

    def _database(self, name: str) -> Database:
        url = URL.create(
            "postgresql+psycopg2", _USER, self._password, "127.0.0.1", self._port, name
        )
        return Database(url)

    def _initialize(self) -> None:
        password_file = self._folder / "password"
        password_file.write_text(self._password + "\n")
        if self._user is not None:
            os.chown(password_file, self._user.pw_uid, self._user.pw_gid)
        password_file.chmod(0o600)
        command = [
            *(str(self._binaries / "initdb"), "-D", str(self._folder / "data"), "-U", _USER),
            *("--auth=scram-sha-256", f"--pwfile={password_file}"),
            *("--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"),
        ]
        result = subprocess.run(
            command, cwd=self._folder, capture_output=True, text=True, **self._identity()
        )
        if result.returncode:
            raise RuntimeError(f"initdb failed: {result.stderr}")

    def _start(self) -> None:
        # Nothing else is set: what is measured is written as safely as a server does by default.
        command = [
            *(str(self._binaries / "postgres"), "-D", str(self._folder / "data")),
            *("-h", "127.0.0.1", "-p", str(self._port), "-k", str(self._folder)),
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._folder, **self._identity()
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                log_text = (self._folder / "log").read_text(errors="replace")
                raise RuntimeError(f"PostgreSQL did not start: {log_text[-2000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except OperationalError:
            return False
        return True

    def _remove(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _identity(self) -> dict[str, Any]:
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
        if self._user is None:
            return {"env": environment}
        user, group = self._user.pw_uid, self._user.pw_gid
        return {"env": environment, "user": user, "group": group, "extra_groups": []}


def find_binaries() -> Path | None:
    """Returns the folder with `initdb` and `postgres`, the newest version first."""
    debian = Path("/usr/lib/postgresql")
    versions = sorted(debian.glob("*/bin"), key=lambda path: -float(path.parent.name))
    on_path = shutil.which("initdb")
    candidates = [*versions, *([Path(on_path).resolve().parent] if on_path else [])]
    return next((path for path in candidates if (path / "postgres").exists()), None)


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Returns whom to run the server as, since it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _make_folder(user: pwd.struct_passwd | None) -> Path:
    # TMPDIR may be closed to other users. Kept short: a socket's path has room for 107 characters.
    candidates = [tempfile.gettempdir(), "/tmp", "/var/tmp"]
    parent = next(path for path in candidates if user is None or _is_open(Path(path)))
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=parent))
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def _is_open(path: Path) -> bool:
    return path.is_dir() and all(p.stat().st_mode & 0o001 for p in [path, *path.parents])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
