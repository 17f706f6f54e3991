"""optuna-dashboard on the studies of a config's database."""

from __future__ import annotations

from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from search.config import Config
from search.study import find_study
from search.terminal import say
from trainer.errors import InputError

_HOST = "127.0.0.1"
"""It has no authentication and can delete studies, so it is not for other machines."""


class _Server(ThreadingMixIn, WSGIServer):
    """Answers a browser's requests side by side: a slow plot does not hold up the page."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Writes nothing: a page polls every few seconds."""


def serve_dashboard(config: Config, port: int) -> None:
    """Serves in this process, so that no URL with a password stands in an argument list.

    Raises:
        InputError: The port is taken, or there is no such study.
    """
    from optuna_dashboard import wsgi

    study = find_study(config)
    try:
        server = make_server(_HOST, port, wsgi(study._storage), _Server, _Quiet)
    except OSError as error:
        raise InputError(
            f"--port: expected a free port of {_HOST}, got {port}: {error.strerror}; choose another"
        ) from None
    say(f"http://{_HOST}:{port}/dashboard/studies/{study._study_id}  (Ctrl-C ends it)")
    with server:
        server.serve_forever()
