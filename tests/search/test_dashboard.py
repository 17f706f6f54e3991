from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import optuna
import pytest
from optuna.trial import TrialState

from search.config import load_config
from search.dashboard import serve_dashboard
from storage.artifacts import ArtifactFolder
from storage.database import database_from_environment
from storage.studies import open_study_storage
from trainer.errors import InputError

CONFIG = """
[study]
name = "mito"
epochs_per_trial = 3
tiles_per_epoch = 10
[budget]
trials = 4
[data]
phantom = { sections = 12, height = 32, width = 32 }
[space]
learning_rate = {}
"""


def begin_study(runs: Path) -> None:
    """A study with one pruned trial and its picture, as a search leaves it."""
    storage = open_study_storage(database_from_environment(runs, {}))
    study = optuna.create_study(storage=storage, study_name="mito", direction="maximize")
    trial = study.ask()
    trial.report(0.25, 1)
    artifacts = ArtifactFolder(runs / "artifacts")
    artifacts.write("mito", 0, "section.png", b"a picture")
    artifacts.add(trial, "section.png")
    study.tell(trial, state=TrialState.PRUNED)


def wait_until(reached: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, process.communicate()
        try:
            found = reached()
        except URLError:
            found = None
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("it did not come to that in a minute")


@pytest.mark.slow
def test_it_waits_for_its_study_and_shows_a_trial_with_its_artifacts(tmp_path: Path) -> None:
    (tmp_path / "mito.toml").write_text(CONFIG)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    code = "from search.cli import main; main()"
    command = ["dashboard", "mito.toml", "--wait", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *command], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("waiting: study.name: expected a study")
        begin_study(tmp_path / "runs")
        (study,) = wait_until(lambda: read(f"{url}/api/studies"), process)["study_summaries"]
        assert study["study_name"] == "mito"
        (trial,) = read(f"{url}/api/studies/{study['study_id']}?after=0")["trials"]
        assert trial["state"] == "Pruned"
        (artifact,) = trial["artifacts"]
        assert artifact["filename"] == "section.png"
        place = f"{study['study_id']}/{trial['trial_id']}/{artifact['artifact_id']}"
        with urlopen(f"{url}/artifacts/{place}", timeout=10) as answer:
            assert answer.headers["Content-Type"] == "image/png"
            assert answer.read() == b"a picture"
        assert process.stderr.readline().startswith(f"{url}/dashboard/studies/")
    finally:
        process.terminate()
        process.communicate(timeout=30)


def read(url: str) -> Any:
    with urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())


@pytest.mark.parametrize("host", ["", "999.1.1.1", "198.51.100.1", "::1"])
def test_a_host_that_is_not_this_machine_is_refused_by_its_name(tmp_path: Path, host: str) -> None:
    runs = f'runs = "{tmp_path}/runs"\nepochs_per'
    (tmp_path / "mito.toml").write_text(CONFIG.replace("epochs_per", runs))
    begin_study(tmp_path / "runs")
    with pytest.raises(InputError, match=r"^--host: expected an"):
        serve_dashboard(load_config(tmp_path / "mito.toml"), host, 8080)
