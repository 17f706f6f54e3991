"""The main job as a user starts it: real training, Ray, kills, both databases."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

pytestmark = pytest.mark.slow

CONFIG = """
[study]
name = "tiny"
epochs_per_trial = 3
tiles_per_epoch = 1
seed = 3
[budget]
trials = 4
[data]
phantom = {{ sections = 24, height = 96, width = 96, seed = 1 }}
[split]
gap = 2
[workers]
where = "{where}"
[space]
learning_rate = {{ low = 1e-3, high = 1e-2, log = true }}
loss = ["bce", "bce_dice"]
filters = 4
depth = 2
tile_size = 32
batch_size = 8
[finalists]
count = {finalists}
seeds = 1
folds = 1
{final}
"""
FINAL = """
[final]
epochs = 2
train_on = "all"
"""
SECONDS = 1200


class Folder:
    """An empty folder with a config in it, and the command line to run there."""

    def __init__(
        self,
        path: Path,
        where: str,
        *,
        finalists: int = 1,
        final: str = FINAL,
        **environment: str,
    ) -> None:
        self.path = path
        self.environment = {**os.environ, **environment}
        config = CONFIG.format(where=where, finalists=finalists, final=final)
        (path / "tiny.toml").write_text(config)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", "from search.cli import main; main()", *arguments],
            cwd=self.path,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def call(self, *arguments: str, code: int = 0) -> str:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == code, err
        return out

    def status(self) -> dict[str, Any]:
        row: dict[str, Any] = json.loads(self.call("status", "tiny.toml", "--json"))
        return row

    def newest_checkpoint(self) -> float:
        """When the last epoch was written; 0 where none was."""
        times = [0.0]
        for path in self.path.glob("runs/tiny/trials/*/epoch-*.npz"):
            with contextlib.suppress(FileNotFoundError):
                times.append(path.stat().st_mtime)
        return max(times)

    def wait_until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not reached():
            assert time.monotonic() < deadline, "the search did not come so far"
            time.sleep(0.05)


def _check_finished(folder: Folder) -> None:
    """What holds after every search, whatever happened on its way."""
    status = folder.status()
    assert status["counts"]["RUNNING"] == status["counts"]["WAITING"] == 0
    assert [trial["number"] for trial in status["trials"]] == list(range(len(status["trials"])))
    goes_on = {"retried_from", "promoted_from"}
    anew = [trial for trial in status["trials"] if not goes_on & set(trial["user_attrs"])]
    assert len(anew) == 4
    for trial in status["trials"]:
        assert (trial["state"] == "COMPLETE") == (trial["epochs"] == 3)
    best = json.loads(folder.call("best", "tiny.toml", "--json"))
    # Where finalists were repeated the winner is the best of them on average.
    assert best[0]["repeats"] or best[0]["value"] == max(row["value"] for row in best)
    assert (folder.path / best[0]["model"] / "model.keras").is_file()


def test_a_search_is_run_killed_and_gone_on_with(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "ray")
    killed = folder.start("run", "tiny.toml")
    folder.wait_until(lambda: folder.newest_checkpoint() > 0)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    left = folder.status()
    assert left["counts"]["RUNNING"] > 0

    result = json.loads(folder.call("run", "tiny.toml", "--json"))
    assert result["ending"] == "done"
    _check_finished(folder)
    resumed = [
        trial for trial in folder.status()["trials"] if "inherited_epochs" in trial["user_attrs"]
    ]
    assert resumed, "no trial went on from its checkpoint"

    # Nothing is left to do, and doing it again changes nothing.
    before = folder.status()["trials"]
    assert json.loads(folder.call("run", "tiny.toml", "--json"))["trial"] == result["trial"]
    assert folder.status()["trials"] == before


def test_the_same_search_on_postgresql_and_what_comes_out_of_it(
    tmp_path: Path, postgres_server: Any
) -> None:
    url = postgres_server.create_database("end_to_end")
    folder = Folder(tmp_path, "inline", finalists=2, UNET_SEARCH_DATABASE_URL=url)
    out = folder.call("run", "tiny.toml")
    assert "best trial" in out
    assert "evaluate runs/tiny/model" in out
    _check_finished(folder)
    assert not (tmp_path / "runs" / "studies.db").exists()
    rows = json.loads(folder.call("best", "tiny.toml", "--json"))
    means = [row["repeats"]["mean"] for row in rows if row["repeats"]]
    assert len(means) == 2
    assert max(means) == means[0]
    for row in rows[:2]:
        repeated = [(score["seed"], score["fold"]) for score in row["repeats"]["scores"]]
        assert repeated == [(4, 0)]

    card = json.loads(folder.call("export", "tiny.toml", "--out", "exported", "--json"))
    assert [each["number"] for each in card["finalists"]] == [row["number"] for row in rows[:2]]
    assert card["validation"]["of"].startswith("repeats of the search's trial")
    networks = ["model.keras", "model.onnx", "saved_model"]
    assert card["files"] == ["README.md", "model.json", *networks, "tiny.bioimage.io.zip"]
    volume = ("--raw", "runs/tiny/unseen/raw.tif", "--mask", "runs/tiny/unseen/mask.tif")
    scores = [
        json.loads(folder.call("evaluate", model, *volume, "--out", "scores", "--json"))
        for model in ("runs/tiny/model", "exported")
    ]
    assert scores[0] == scores[1]
    assert scores[0]["voxels"] == 24 * 96 * 96
    assert {"dice", "iou", "precision", "recall", "threshold"} <= scores[0].keys()
    assert {"found", "total", "predicted", "precision", "recall", "f1"} == scores[0][
        "instances_3d"
    ].keys()
    assert len(list((tmp_path / "scores").glob("section-*.png"))) == 4
    password = make_url(url).password
    assert password
    for text in (out, *(path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*.json"))):
        assert password not in text
        assert url not in text


def test_one_worker_and_one_seed_give_the_same_search(tmp_path: Path) -> None:
    values = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        folder = Folder(tmp_path / name, "inline", final="")
        folder.call("run", "tiny.toml", "--trials", "2")
        status = folder.status()
        values.append(
            [(t["number"], t["state"], t["value"], t["params"]) for t in status["trials"]]
        )
    assert values[0] == values[1]


def test_check_estimates_without_a_study(tmp_path: Path) -> None:
    facts = json.loads(Folder(tmp_path, "ray").call("check", "tiny.toml", "--json"))
    assert facts["rungs"] == [[1]]
    assert facts["epoch_seconds"] > 0
    assert facts["hours"]["search_expected"] <= facts["hours"]["search_at_most"]
