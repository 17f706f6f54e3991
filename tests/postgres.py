"""A PostgreSQL server of the test run's own, started from Debian's binaries."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

# Every character that a URL, a connection string or a configuration file reads as its own.
PASSWORD = "p@ss: w/o%r'd\\{x}?&#"
USER = "searcher"
START_SECONDS = 120.0


def find_binaries() -> Path | None:
    """Return the folder with `initdb` and `postgres`, the newest version first."""
    debian = Path("/usr/lib/postgresql")
    versions = sorted(debian.glob("*/bin"), key=lambda path: -float(path.parent.name))
    on_path = shutil.which("initdb")
    candidates = [*versions, *([Path(on_path).resolve().parent] if on_path else [])]
    return next((path for path in candidates if (path / "postgres").exists()), None)


class PostgresServer:
    """A server on a free port of 127.0.0.1 that asks for a password."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._user = _unprivileged_user()
        self._folder = _make_folder(self._user)
        self._process: subprocess.Popen[bytes] | None = None
        # Bound for as long as the server may be stopped: nobody else is given its port.
        self._reserved = _reserve_port()
        self.port = int(self._reserved.getsockname()[1])
        self._initialize()

    def url(self, database: str = "postgres", *, user: str = USER, password: str = PASSWORD) -> str:
        """Return the URL of a database, its password included."""
        url = URL.create("postgresql", user, password, "127.0.0.1", self.port, database)
        return url.render_as_string(hide_password=False)

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the owner of the server, each on its own."""
        url = self.url(database).replace("postgresql:", "postgresql+psycopg2:")
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [
            *(str(self._binaries / "postgres"), "-D", str(self._folder / "data")),
            *("-h", "127.0.0.1", "-p", str(self.port), "-k", str(self._folder)),
            *("-c", "fsync=off", "-c", "max_connections=50", "-c", "shared_buffers=32MB"),
        ]
        log = (self._folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._folder, **self._identity()
            )
        self._wait()

    def stop(self) -> None:
        """Stop the server; its databases stay."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(10)

    def remove(self) -> None:
        """Stop the server and delete its databases."""
        self.stop()
        self._reserved.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _initialize(self) -> None:
        password_file = self._folder / "password"
        password_file.write_text(PASSWORD + "\n")
        password_file.chmod(0o644)
        command = [
            *(str(self._binaries / "initdb"), "-D", str(self._folder / "data"), "-U", USER),
            *("--auth=scram-sha-256", f"--pwfile={password_file}"),
            *("--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"),
        ]
        result = subprocess.run(
            command, cwd=self._folder, capture_output=True, text=True, **self._identity()
        )
        if result.returncode:
            raise RuntimeError(f"initdb failed: {result.stderr}")

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return self.execute("SELECT 1")
            except OperationalError:
                assert self._process is not None
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    log = (self._folder / "log").read_text(errors="replace")
                    raise RuntimeError(f"PostgreSQL did not start: {log[-2000:]}") from None
                time.sleep(0.05)

    def _identity(self) -> dict[str, Any]:
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
        if self._user is None:
            return {"env": environment}
        user, group = self._user.pw_uid, self._user.pw_gid
        return {"env": environment, "user": user, "group": group, "extra_groups": []}


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Return whom to run the server as, since it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _make_folder(user: pwd.struct_passwd | None) -> Path:
    # pytest's own folders are closed to other users, and so may TMPDIR be.
    candidates = [tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"]
    parent = next(path for path in candidates if user is None or _is_open(Path(path)))
    # Kept short: the path of a socket has room for 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=parent))
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def _is_open(path: Path) -> bool:
    return path.is_dir() and all(p.stat().st_mode & 0o001 for p in [path, *path.parents])


def _reserve_port() -> socket.socket:
    """Return a socket on a free port; it never listens, so that the server can."""
    reserved = socket.socket()
    # As the server's own: on Linux two such sockets share a port while one at most listens.
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved
