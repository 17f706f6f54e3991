"""optuna-dashboard on the studies of a config's database."""

from __future__ import annotations

import errno
import time
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna

from search.config import Config
from search.errors import StudyNotFound
from search.study import find_study
from search.terminal import say
from storage.artifacts import ArtifactFolder
from storage.errors import DatabaseError
from trainer.errors import InputError

_LOOK_SECONDS = 2.0


class _Server(ThreadingMixIn, WSGIServer):
    """Answers a browser's requests side by side: a slow plot does not hold up the page."""

    daemon_threads = True

    def server_bind(self) -> None:
        # Without the library's look-up of this host's name, which some networks do not answer.
        super(WSGIServer, self).server_bind()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Writes nothing: a page polls every few seconds."""

    def address_string(self) -> str:
        return str(self.client_address[0])


def serve_dashboard(config: Config, host: str, port: int, *, wait: bool = False) -> None:
    """Serves in this process, so that no URL with a password stands in an argument list.

    Args:
        config: Of the study.
        host: Address to listen on. It has no authentication and can delete studies: one of this
            machine alone, or of a network that is closed otherwise.
        port: To listen on.
        wait: Whether to wait for a study that does not exist yet, and for its database.

    Raises:
        InputError: The port is taken, the host is another's, or there is no such study.
        DatabaseError: The database cannot be used.
    """
    from optuna_dashboard import wsgi

    if not host:
        raise InputError("--host: expected an address, got none; 127.0.0.1 is for this machine")
    study = _wait_for_study(config) if wait else find_study(config)
    app = wsgi(study._storage, artifact_store=ArtifactFolder(config.artifacts).build_store())
    try:
        server = make_server(host, port, app, _Server, _Quiet)
    except OSError as error:
        raise _refusal(host, port, error) from None
    say(f"http://{host}:{port}/dashboard/studies/{study._study_id}  (Ctrl-C ends it)")
    with server:
        server.serve_forever()


def _refusal(host: str, port: int, error: OSError) -> InputError:
    if error.errno in (errno.EADDRINUSE, errno.EACCES):
        return InputError(
            f"--port: expected a free port of {host}, got {port}: {error.strerror}; choose another"
        )
    return InputError(
        f"--host: expected an IPv4 address of this machine, got {host!r}: {error.strerror}; "
        "127.0.0.1 is for this machine alone"
    )


def _wait_for_study(config: Config) -> optuna.Study:
    told = ""
    while True:
        try:
            return find_study(config)
        except (StudyNotFound, DatabaseError) as error:
            if str(error) != told:
                say(f"waiting: {error}")
                told = str(error)
            time.sleep(_LOOK_SECONDS)
