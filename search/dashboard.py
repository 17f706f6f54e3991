"""optuna-dashboard on the studies of a config's database."""

from __future__ import annotations

import errno
from wsgiref.simple_server import make_server

from search.config import Config
from search.presentation import say
from search.study import load_study
from storage.database import database_from_environment
from storage.studies import open_study_storage
from trainer.errors import InputError

_HOST = "127.0.0.1"
"""It has no authentication and can delete studies, so it is not for other machines."""


def serve_dashboard(config: Config, port: int) -> None:
    """Serves in this process, so that no URL with a password stands in an argument list.

    Raises:
        InputError: The port is taken, or there is no such study.
    """
    from optuna_dashboard import wsgi

    storage = open_study_storage(database_from_environment(config.study.runs))
    study = load_study(config, storage)
    try:
        server = make_server(_HOST, port, wsgi(storage))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise InputError(
            f"--port: expected a free port of {_HOST}, {port} is taken; choose another"
        ) from None
    say(f"http://{_HOST}:{port}/dashboard/studies/{study._study_id}  (Ctrl-C ends it)")
    with server:
        server.serve_forever()
