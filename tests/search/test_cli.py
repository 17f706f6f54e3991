from __future__ import annotations

import errno
import functools
import json
import os
import socket
import sqlite3
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import tifffile

from search import cli, presentation
from search import run as run_module
from search.config import load_config
from search.data import Unseen, load_data
from search.run import Result
from search.study import open_study
from search.terms import Ending
from search.verdict import Finalist, Score
from storage import studies as studies_module
from storage.database import database_from_environment
from storage.errors import CheckpointError
from storage.lock import StudyLock
from storage.studies import open_study_storage
from storage.study_storage import StudyStorage

ROOT = Path(__file__).parents[2]
PHANTOM = "phantom = { sections = 12, height = 32, width = 32 }"
CONFIG = f"""
[study]
name = "mito"
epochs_per_trial = 3
tiles_per_epoch = 10
[budget]
trials = 4
[data]
{PHANTOM}
[split]
gap = 1
[workers]
where = "inline"
[space]
learning_rate = {{ low = 1e-4, high = 1e-2, log = true }}
depth = 2
tile_size = 16
"""
FILES = CONFIG.replace(PHANTOM, 'raw = "raw.tif"\nmask = "mask.tif"')


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _no_framework(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is tested here is found before anything heavy is loaded."""
    for name in ("tensorflow", "keras", "ray"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def call(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    closing_storages: None,
) -> Call:
    """Runs a command in an empty folder, as the shell would."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mito.toml").write_text(CONFIG)

    def run(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["unet-search", *arguments])
        capsys.readouterr()
        code = cli._run()
        return Answer(code, *capsys.readouterr())

    return run


def refusal(answer: Answer) -> str:
    """The one line of a command that was given something wrong.

    Args:
        answer: Of the command.
    """
    assert answer.code == 2
    assert answer.out == ""
    lines = answer.err.splitlines()
    assert len(lines) == 1
    assert lines[-1].startswith("unet-search: ")
    assert "Traceback" not in answer.err
    assert answer.err.count("unet-search: ") == 1
    return lines[-1].removeprefix("unet-search: ")


# What is typed


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["Missing command"]),
        (["serach"], ["No such command", "serach"]),
        (["run"], ["Missing argument", "config"]),
        (["run", "mito.toml", "--trails", "3"], ["No such option", "--trails"]),
        (["run", "mito.toml", "more.toml"], ["unexpected", "more.toml"]),
        (["run", "mito.toml", "--trials", "many"], ["--trials", "integer"]),
        (["run", "mito.toml", "--trials", "0"], ["--trials", "greater than or equal to 1"]),
        (["run", "mito.toml", "--trials", "-3"], ["--trials", "greater than or equal to 1"]),
        (["run", "mito.toml", "--trials"], ["--trials"]),
        (["run", "mito.toml", "--hours", "0"], ["budget.hours", "greater than 0"]),
        (["run", "mito.toml", "--hours", "nan"], ["budget.hours", "finite"]),
        (["run", "mito.toml", "--raw", "a.tif"], ["data", "both raw and mask"]),
        (["run", "nothing.toml"], ["nothing.toml", "found none"]),
        (["best", "mito.toml", "--top", "0"], ["--top", "greater"]),
        (["export", "mito.toml"], ["--out"]),
        (["dashboard", "mito.toml", "--port", "0"], ["--port", "greater"]),
        (
            ["evaluate", "m", "--raw", "a", "--mask", "b", "--voxel-size-nm", "5,x"],
            ["--voxel-size-nm", "5,x"],
        ),
        (
            ["evaluate", "m", "--raw", "a", "--mask", "b", "--sections", "145-165"],
            ["--sections: expected FIRST,END", "145-165"],
        ),
        (
            ["explain", "m", "--raw", "a", "--section", "1", "--box", "9,0,5,9", "--out", "o"],
            ["--box", "y0,x0,y1,x1", "9,0,5,9"],
        ),
        (["predict", "m", "a.tif"], ["Missing argument", "output"]),
        (["predict", "m", "a.tif", "b.png"], ["b.png", "ends in .tif, .ome.tif or .zarr"]),
        (["predict", "m", "a.tif", "b.tif"], ["volume a.tif", "no such file"]),
        (["predict", "m", "mito.toml", "b.tif"], ["volume mito.toml", "not a TIFF"]),
        (["predict", "m", "a.tif", "b.tif", "--overlap", "0.5"], ["--overlap", "--window"]),
        (
            ["predict", "m", "a.tif", "b.tif", "--window", "64", "--overlap", "1"],
            ["overlap", "from 0 to under 1"],
        ),
    ],
    ids=" ".join,
)
def test_a_slip_in_a_command_is_one_line(
    call: Call, tmp_path: Path, arguments: list[str], parts: list[str]
) -> None:
    message = refusal(call(*arguments))
    for part in parts:
        assert part in message
    assert [path.name for path in tmp_path.iterdir()] == ["mito.toml"]


@pytest.mark.parametrize(
    ("slip", "parts"),
    [
        (("trials = 4", "trials = = 4"), ["TOML", "line 7"]),
        (("trials = 4", "trials = 'four'"), ["budget.trials", "a whole number", "'four'"]),
        (("trials = 4", "trails = 4"), ["budget.trails", "did you mean 'trials'?"]),
        (("learning_rate", "lerning_rate"), ["space.lerning_rate", "'learning_rate'"]),
        (("low = 1e-4", "low = 1e-1"), ["space.learning_rate", "low below high"]),
        (("tile_size = 16", "tile_size = 18"), ["space.tile_size", "multiple of 4", "18"]),
        (("tile_size = 16", "tile_size = 64"), ["space.tile_size", "at most 32", "64"]),
        (("gap = 1", "gap = 11"), ["gap 11"]),
        (("gap = 1", "gap = 1\nholdout = [20, 30]"), ["holdout", "12"]),
        (("sections = 12", "sections = 2"), ["data.phantom.sections", "2"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_slip_in_a_config_is_one_line(
    call: Call, tmp_path: Path, slip: tuple[str, str], parts: list[str], command: str
) -> None:
    assert slip[0] in CONFIG
    (tmp_path / "mito.toml").write_text(CONFIG.replace(*slip))
    message = refusal(call(command, "mito.toml"))
    for part in parts:
        assert part in message
    assert [path.name for path in tmp_path.iterdir()] == ["mito.toml"]


# What the files hold

RAW = np.random.default_rng(0).integers(0, 255, (12, 32, 40), dtype=np.uint8)
MASK = (RAW > 200).astype(np.uint8)


def _write(path: Path, content: Any) -> None:
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        photometric = "rgb" if content.shape[-1] == 3 else "minisblack"
        tifffile.imwrite(path, content, photometric=photometric)


@pytest.mark.parametrize(
    ("raw", "mask", "parts"),
    [
        (None, MASK, ["raw.tif"]),
        (RAW, None, ["mask.tif"]),
        (b"these are no pixels", MASK, ["raw.tif", "TIFF"]),
        (RAW, b"", ["mask.tif"]),
        (RAW[0], MASK, ["raw.tif"]),
        (RAW, MASK[0], ["mask.tif"]),
        (RAW, MASK[:-1], ["12 x 32 x 40", "11 x 32 x 40"]),
        (RAW, MASK[:, :-1], ["12 x 32 x 40", "12 x 31 x 40"]),
        (np.stack([RAW] * 3, axis=-1), MASK, ["raw.tif"]),
        (RAW, np.zeros_like(MASK), ["mask.tif"]),
        (RAW[:, :8, :8], MASK[:, :8, :8], ["space.tile_size", "8 x 8", "16"]),
        (RAW[:2], MASK[:2], ["2 sections", "gap 1"]),
    ],
    ids=[
        "no raw", "no mask", "no TIFF", "empty file", "one page", "one page of mask",
        "fewer sections", "fewer rows", "RGB", "empty mask", "smaller than a tile", "too short",
    ],
)  # fmt: skip
def test_files_that_cannot_be_used_are_named_and_nothing_is_written(
    call: Call, tmp_path: Path, raw: Any, mask: Any, parts: list[str]
) -> None:
    _write(tmp_path / "raw.tif", raw)
    _write(tmp_path / "mask.tif", mask)
    given = ("--raw", "raw.tif", "--mask", "mask.tif")
    message = refusal(call("run", "mito.toml", *given))
    for part in parts:
        assert part in message
    assert not (tmp_path / "runs").exists()
    (tmp_path / "mito.toml").write_text(FILES)
    assert refusal(call("check", "mito.toml")) == message


# The run folder, the study and its database


@pytest.mark.parametrize("name", ["runs", "runs/mito"])
def test_a_run_folder_that_cannot_be_written_is_named(
    call: Call, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("a file")
    assert f"{name} " in refusal(call("run", "mito.toml")).replace(":", " ")
    assert (tmp_path / name).read_text() == "a file"


@pytest.fixture
def study(call: Call, tmp_path: Path) -> optuna.Study:
    """The config's study, with a trial at full budget."""
    config = load_config(tmp_path / "mito.toml")
    storage = open_study_storage(database_from_environment(Path("runs")))
    study = open_study(config, load_data(config), storage)
    trial = study.ask()
    config.build_space().suggest(trial)
    for epoch in (1, 2, 3):
        trial.report(epoch / 4, epoch)
    for name, fact in (("precision", 0.8), ("recall", 0.7), ("threshold", 0.45)):
        trial.set_user_attr(name, fact)
    study.tell(trial, 0.75)
    return study


def test_another_space_under_the_same_name_is_refused(
    call: Call, tmp_path: Path, study: optuna.Study
) -> None:
    (tmp_path / "mito.toml").write_text(CONFIG.replace("high = 1e-2", "high = 1e-1"))
    message = refusal(call("run", "mito.toml"))
    assert "'mito' exists with space.learning_rate" in message
    assert len(study.get_trials()) == 1


def test_other_data_under_the_same_name_is_refused(
    call: Call, tmp_path: Path, study: optuna.Study
) -> None:
    (tmp_path / "mito.toml").write_text(CONFIG.replace("width = 32", "width = 32, seed = 9"))
    message = refusal(call("run", "mito.toml"))
    assert "'mito' exists with data.sha256" in message


def test_a_second_coordinator_is_refused(call: Call, tmp_path: Path) -> None:
    with StudyLock(database_from_environment(Path("runs")), "mito"):
        message = refusal(call("run", "mito.toml"))
    assert "study 'mito' is already run by process" in message
    with pytest.raises(KeyError):
        optuna.load_study(
            study_name="mito",
            storage=open_study_storage(database_from_environment(Path("runs"))),
        )


@pytest.mark.parametrize(
    "command", [["status"], ["best"], ["export", "--out", "x"], ["dashboard"]], ids=lambda c: c[0]
)
def test_a_study_that_was_never_started_is_not_made_by_looking_for_it(
    call: Call, tmp_path: Path, command: list[str]
) -> None:
    message = refusal(call(command[0], "mito.toml", *command[1:]))
    assert "found none named 'mito'; start it with `unet-search run`" in message
    assert [path.name for path in tmp_path.iterdir()] == ["mito.toml"]


def test_another_study_in_the_same_database_is_not_taken_for_it(
    call: Call, tmp_path: Path, study: optuna.Study
) -> None:
    (tmp_path / "mito.toml").write_text(CONFIG.replace('"mito"', '"other"'))
    assert "found none named 'other'" in refusal(call("status", "mito.toml"))
    assert optuna.get_all_study_names(study._storage) == ["mito"]


def test_the_status_says_who_runs_the_study(call: Call, study: optuna.Study) -> None:
    assert "not running at the moment" in call("status", "mito.toml").out
    with StudyLock(database_from_environment(Path("runs")), "mito"):
        assert f"run by process {os.getpid()} on " in call("status", "mito.toml").out
        run_by = json.loads(call("status", "mito.toml", "--json").out)["run_by"]
    assert run_by.startswith(f"process {os.getpid()} on ")


@pytest.mark.parametrize("command", ["status", "best"])
def test_a_database_of_another_program_stays_as_it_is(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as theirs, theirs:
        theirs.execute("CREATE TABLE cells (name)")
    before = path.read_bytes()
    monkeypatch.setenv("UNET_SEARCH_DATABASE_URL", f"sqlite:///{path}")
    assert "found none named 'mito'" in refusal(call(command, "mito.toml"))
    assert path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {"mito.toml", "theirs.db"}


def test_a_study_that_cannot_be_written_can_be_read(
    call: Call, monkeypatch: pytest.MonkeyPatch, study: optuna.Study
) -> None:
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
    assert call("status", "mito.toml").code == 0
    answer = call("enqueue", "mito.toml", "--params", '{"learning_rate": 0.001}')
    assert answer.code == 1
    assert answer.err.startswith("unet-search: the study database cannot be used (")
    assert "readonly" in answer.err
    assert answer.err.count("\n") == 1


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as taken:
        # Bound and not listening: nobody else takes it, and nobody answers.
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@pytest.mark.parametrize("command", ["run", "status"])
def test_a_database_that_does_not_answer_is_named_without_its_password(
    call: Call, monkeypatch: pytest.MonkeyPatch, closed_port: int, command: str
) -> None:
    url = f"postgresql://ada:s3cret@127.0.0.1:{closed_port}/studies"
    monkeypatch.setenv("UNET_SEARCH_DATABASE_URL", url)
    impatient = functools.partial(open_study_storage, patience_seconds=0.1)
    monkeypatch.setattr(studies_module, "open_study_storage", impatient)
    storage = functools.partial(StudyStorage, patience_seconds=0.1)
    monkeypatch.setattr(run_module, "StudyStorage", storage)
    answer = call(command, "mito.toml")
    message = refusal(answer)
    assert f"ada@127.0.0.1:{closed_port}/studies" in message
    assert "s3cret" not in answer.err


@pytest.mark.parametrize("command", ["run", "status"])
def test_a_wrong_password_is_refused_and_not_shown(
    call: Call, monkeypatch: pytest.MonkeyPatch, postgres_server: Any, command: str
) -> None:
    monkeypatch.setenv("UNET_SEARCH_DATABASE_URL", postgres_server.url(password="s3cret"))
    answer = call(command, "mito.toml")
    message = refusal(answer)
    assert "refused user and password" in message
    assert "s3cret" not in answer.err


@pytest.mark.parametrize("url", ["mysql://a@b/c", "studies", "postgresql://a:b@c@d/e"])
def test_a_url_that_is_none_is_refused(
    call: Call, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("UNET_SEARCH_DATABASE_URL", url)
    assert "UNET_SEARCH_DATABASE_URL" in refusal(call("status", "mito.toml"))


def test_a_file_that_is_no_database_is_left_alone(call: Call, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "studies.db").write_text("my notes, which are long enough " * 8)
    assert "studies.db" in refusal(call("status", "mito.toml"))
    assert (tmp_path / "runs" / "studies.db").read_text().startswith("my notes")


def test_a_port_that_is_taken_is_named(call: Call, study: optuna.Study, closed_port: int) -> None:
    message = refusal(call("dashboard", "mito.toml", "--port", str(closed_port)))
    assert message.startswith("--port: ")
    assert str(closed_port) in message


# What is printed when all is well


def test_the_status_is_printed_for_people_and_for_programs(call: Call, study: optuna.Study) -> None:
    shown = call("status", "mito.toml")
    assert (shown.code, shown.err) == (0, "")
    assert "1 COMPLETE" in shown.out
    assert "1 of 4 trials, 3 epochs" in shown.out
    row = json.loads(call("status", "mito.toml", "--json").out)
    assert row["counts"]["COMPLETE"] == 1
    assert row["trials"][0]["epochs"] == 3


def test_the_best_are_printed_for_people_and_for_programs(call: Call, study: optuna.Study) -> None:
    shown = call("best", "mito.toml")
    assert (shown.code, shown.err) == (0, "")
    assert "trial 0: Dice 0.7500" in shown.out
    assert "learning_rate = " in shown.out
    (row,) = json.loads(call("best", "mito.toml", "--top", "1", "--json").out)
    assert (row["number"], row["value"], row["model"]) == (0, 0.75, None)


class FakeRun:
    """Stands in for a search that ends in a certain way."""

    result: Result | BaseException | type[BaseException]

    def __init__(self, config: Any, announce: Callable[[str], None]) -> None:
        self.announce = announce

    def run(self) -> Result:
        self.announce("volume: a note")
        if isinstance(self.result, Result):
            return self.result
        raise self.result


@pytest.mark.parametrize(
    ("kind", "code", "following"),
    [("done", 0, "status"), ("failed", 1, "status"), ("interrupted", 130, "run")],
)
def test_the_exit_code_tells_how_a_search_ended(
    call: Call, monkeypatch: pytest.MonkeyPatch, kind: Any, code: int, following: str
) -> None:
    FakeRun.result = Result(Ending(kind, "because of this"), None, None)
    monkeypatch.setattr(run_module, "SearchRun", FakeRun)
    shown = call("run", "mito.toml")
    assert shown.code == code
    assert shown.err == "volume: a note\n"
    assert "mito: because of this" in shown.out
    assert f"unet-search {following} mito.toml" in shown.out
    printed = call("run", "mito.toml", "--json")
    assert printed.code == code
    row = json.loads(printed.out)
    assert (row["ending"], row["reason"], row["model"]) == (kind, "because of this", None)


def test_the_result_names_the_best_trial_its_model_and_what_to_type_next(
    call: Call, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    unseen = Unseen(Path("unseen/raw.tif"), Path("my unseen/mask.tif"), (145, 165))
    model = Path("runs/mito/model")
    FakeRun.result = Result(Ending("done", "all done"), study.trials[0], model, unseen)
    monkeypatch.setattr(run_module, "SearchRun", FakeRun)
    card = {"threshold": 0.4, "validation": {"dice": 0.9, "of": "this model, on unseen sections"}}
    monkeypatch.setattr(presentation, "load_card", lambda folder: card)
    shown = call("run", "mito.toml").out
    assert "the model: Dice 0.9000 at threshold 0.40: this model, on unseen sections" in shown
    assert "best trial: 0" in shown
    assert "Dice 0.7500, precision 0.8000, recall 0.7000 at threshold 0.45" in shown
    assert "model: runs/mito/model" in shown
    for command in (
        "dashboard mito.toml",
        "export mito.toml --out",
        "evaluate runs/mito/model --raw unseen/raw.tif --mask 'my unseen/mask.tif' "
        "--sections 145,165",
    ):
        assert f"unet-search {command}" in shown
    assert json.loads(call("run", "mito.toml", "--json").out)["value"] == 0.75


def test_the_result_tells_the_finalists_with_their_spread(
    call: Call, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    finalist = Finalist(0, 0.75, (Score(6, 0, 0.7), Score(7, 0, 0.72)))
    ending, model = Ending("done", "all done"), Path("runs/mito/model")
    FakeRun.result = Result(ending, study.trials[0], model, finalists=(finalist,))
    monkeypatch.setattr(run_module, "SearchRun", FakeRun)
    shown = call("run", "mito.toml").out
    assert "finalist 0: Dice 0.7100 ± 0.0141 over 2 repeats; 0.7500 in the search" in shown
    row = json.loads(call("run", "mito.toml", "--json").out)
    assert row["finalists"] == [json.loads(json.dumps(finalist.to_json()))]
    study.set_user_attr("finalists", row["finalists"])
    best = call("best", "mito.toml").out
    assert "trial 0: Dice 0.7500, repeated 0.7100 ± 0.0141 over 2 repeats" in best


def test_an_interrupted_search_is_gone_on_with_by_all_that_it_was_started_with(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeRun.result = Result(Ending("interrupted", "interrupted"), None, None)
    monkeypatch.setattr(run_module, "SearchRun", FakeRun)
    given = ("--trials", "9", "--hours", "1.5", "--raw", "my raw.tif", "--mask", "mask.tif")
    shown = call("run", "mito.toml", *given).out
    assert (
        "unet-search run mito.toml --trials 9 --hours 1.5 --raw 'my raw.tif' --mask mask.tif "
    ) in shown


def test_a_search_that_ends_with_a_model_though_it_failed_tells_how_to_use_it(
    call: Call, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = Ending("failed", "the final training failed: the loss became nan")
    FakeRun.result = Result(ending, study.trials[0], Path("runs/mito/model"))
    monkeypatch.setattr(run_module, "SearchRun", FakeRun)
    shown = call("run", "mito.toml")
    assert shown.code == 1
    assert "the loss became nan" in shown.out
    assert "evaluate runs/mito/model --raw RAW.tif --mask MASK.tif" in shown.out


def test_a_full_disk_is_no_wrong_input(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeRun.result = CheckpointError("no space left on device")
    monkeypatch.setattr(run_module, "SearchRun", FakeRun)
    answer = call("run", "mito.toml")
    assert answer.code == 1
    assert answer.err.endswith("unet-search: no space left on device\n")


SCORES = {
    **dict.fromkeys(("dice", "iou", "precision", "recall"), 0.9),
    "threshold": 0.5,
    "voxels": 1000,
    "voxel_size_nm": [5.0, 5.0, 5.0],
    **{
        name: {"found": 3, "total": 4, "predicted": 3, "precision": 1.0, "recall": 0.75, "f1": 0.9}
        for name in ("instances_2d", "instances_3d", "instances_2d_iou_075", "instances_3d_iou_075")
    },
    **dict.fromkeys(
        ("mcc", "average_precision", "panoptic_quality_2d", "panoptic_quality_3d"), 0.8
    ),
    "boundary_dice": {"1": 0.7, "2": 0.85},
}


def test_an_evaluation_shows_its_scores_and_on_stderr_what_there_is_to_note(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {**SCORES, "notes": ["the model was trained on voxels of [5] nm"]}
    fake = types.ModuleType("trainer.evaluate")
    fake.evaluate_files = lambda *_, **__: scores  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trainer.evaluate", fake)
    given = ("evaluate", "model", "--raw", "a.tif", "--mask", "b.tif")
    shown = call(*given)
    assert (shown.code, shown.err) == (0, "the model was trained on voxels of [5] nm\n")
    assert "Dice 0.9000" in shown.out
    assert "MCC 0.8000, average precision 0.8000" in shown.out
    assert "boundary Dice 0.7000 at 1, 0.8500 at 2 voxels" in shown.out
    assert "objects in the volume: found 3 of 4 at IoU 0.5, 3 at IoU 0.75" in shown.out
    printed = json.loads(call(*given, "--json").out)
    assert (printed["voxel_size_nm"], printed["notes"]) == ([5.0, 5.0, 5.0], scores["notes"])


def test_an_explanation_shows_the_filters_and_where_it_is_written(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    strongest = [{"filter": 5, "stands_out": 1.25}, {"filter": 0, "stands_out": -0.5}]
    facts = {
        "section": 7,
        "box": [0, 1, 2, 3],
        "mean_probability": 0.5,
        "foreground_share": 0.25,
        "notes": ["other voxels"],
        "levels": [{"level": "centre", "filters": 8, "strongest": strongest}],
    }
    fake = types.ModuleType("trainer.explain")
    fake.explain_files = lambda *_: facts  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trainer.explain", fake)
    place = ("--section", "7", "--box", "0,1,2,3", "--out", "why")
    shown = call("explain", "model", "--raw", "a.tif", *place)
    told = "other voxels\nwritten to why: open why/explain.html\n"
    assert (shown.code, shown.err) == (0, told)
    assert "centre: filters 5 (+1.25), 0 (-0.50) of 8" in shown.out
    assert json.loads(call("explain", "model", "--raw", "a.tif", *place, "--json").out) == facts


def test_the_second_ctrl_c_ends_without_a_traceback(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeRun.result = KeyboardInterrupt
    monkeypatch.setattr(run_module, "SearchRun", FakeRun)
    answer = call("run", "mito.toml")
    assert (answer.code, answer.out) == (130, "")
    assert "Traceback" not in answer.err


def _typers_way() -> None:
    raise BrokenPipeError(32, "Broken pipe")


def _richs_way() -> None:
    try:
        _typers_way()
    except BrokenPipeError:
        raise SystemExit(1)  # noqa: B904 - as Rich does it


def test_an_exit_that_somebody_else_asks_for_is_none_of_success(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_open", lambda *_: sys.exit(15))
    monkeypatch.setattr(sys, "argv", ["unet-search", "status", "mito.toml"])
    with pytest.raises(SystemExit) as ended:
        cli._run()
    assert ended.value.code == 15


@pytest.mark.parametrize("end", [_typers_way, _richs_way])
def test_a_reader_who_has_seen_enough_is_no_error(
    call: Call, monkeypatch: pytest.MonkeyPatch, end: Callable[[], None]
) -> None:
    def write(config: Path, settings: list[str] | None) -> None:
        end()

    monkeypatch.setattr(cli, "_open", write)
    # Typer puts a wrapper of its own into their place.
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr(sys, "argv", ["unet-search", "status", "mito.toml"])
    assert cli._run() == 0


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied", "/sealed/.out.tif.partial"),
            2,
            "/sealed/.out.tif.partial: Permission denied; name another path, or",
        ),
        (OSError(errno.EROFS, "Read-only file system", b"out"), 2, "out: Read-only file system; n"),
        (OSError(errno.EMFILE, "Too many open files", "a.tif"), 1, "a.tif: Too many open files; s"),
        (OSError(errno.ENOSPC, "No space left on device", "a"), 1, "No space left on device: make"),
        (MemoryError("Unable to allocate 3. TiB"), 1, "out of memory (Unable to allocate 3. TiB)"),
        (MemoryError(), 1, "out of memory (MemoryError): free some"),
        (RuntimeError("RESOURCE_EXHAUSTED: on\nGPU"), 1, "out of memory (RESOURCE_EXHAUSTED: on)"),
    ],
    ids=str,
)
def test_what_the_system_refuses_is_one_line(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, line: str
) -> None:
    monkeypatch.setattr(cli, "_open", lambda *_: (_ for _ in ()).throw(error))
    answer = call("status", "mito.toml")
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith(f"unet-search: {line}")
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), KeyError("x")], ids=repr)
def test_an_error_of_the_programs_own_keeps_its_traceback(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(cli, "_open", lambda *_: (_ for _ in ()).throw(error))
    with pytest.raises(type(error)):
        call("status", "mito.toml")


def test_a_name_that_is_too_long_is_refused(call: Call, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 8, 8), np.uint8))
    name = "n" * 300
    message = refusal(call("explore", "--raw", "a.tif", "--out", name))
    assert f"{name}: File name too long; choose another" in message


# As a program


def run_program(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; sys.argv[0] = 'unet-search'\n"
        "from search.cli import main\n"
        "try: main()\n"
        "finally: sys.stdout.write('\\nloaded: ' + ' '.join(sys.modules))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT)},
    )


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    done = run_program("--help")
    assert (done.returncode, done.stderr) == (0, "")
    shown, loaded = done.stdout.split("loaded: ")
    for command in ("run", "check", "status", "best", "export", "evaluate", "explain", "predict"):
        assert f"\n  {command} " in shown
    heavy = {"tensorflow", "keras", "ray", "optuna", "numpy", "sqlalchemy", "pydantic"}
    assert heavy & set(loaded.split()) == set()


def test_a_refused_file_is_one_line_and_exit_code_2_for_a_shell(tmp_path: Path) -> None:
    (tmp_path / "mito.toml").write_text(FILES)
    done = run_program("run", "mito.toml", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("unet-search: raw raw.tif: ")
    assert done.stderr.count("\n") == 1
    assert {"tensorflow", "keras", "ray"} & set(done.stdout.split("loaded: ")[1].split()) == set()
    assert [path.name for path in tmp_path.iterdir()] == ["mito.toml"]


def test_a_prediction_needs_a_model(call: Call, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 8, 8), np.uint8))
    message = refusal(call("predict", "nowhere", "a.tif", "b.tif"))
    assert message.startswith("nowhere: expected a model folder with model.json, found none")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "mito.toml"]


def test_what_a_prediction_wrote_is_shown(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    written = {
        "output": "out.zarr",
        "labels": "out.zarr/labels/instances",
        "objects": 46,
        "shape": [165, 768, 1024],
        "voxel_size_nm": [5.0, 5.0, 5.0],
        "seconds": 31.4,
        "voxels_per_second": 4_200_000,
    }
    asked: list[Any] = []

    def segment_file(*arguments: Any, on_progress: Any, say: Any) -> dict[str, Any]:
        asked.append(arguments)
        on_progress("predict", 1, 165)
        say("a note")
        return written

    from trainer import segmentation

    monkeypatch.setattr(segmentation, "segment_file", segment_file)
    given = ("predict", "m", "a.tif", "out.zarr", "--split-touching", "--window", "256")
    answer = call(*given, "--blend", "mean", "--voxel-size-nm", "5,5,5")
    assert answer.code == 0
    assert answer.out.splitlines() == [
        "probabilities: out.zarr (165 x 768 x 1024, voxels 5 x 5 x 5 nm; 31 s, "
        "4.20 million voxels a second)",
        "labels: out.zarr/labels/instances (46 objects)",
    ]
    assert answer.err == "a note\n"
    options = asked[0][3]
    assert (options.labels, options.voxel_size_nm) == ("watershed", (5.0, 5.0, 5.0))
    windows = options.prediction.windows
    assert (windows.size, windows.overlap, windows.blend) == (256, 0.5, "mean")
    assert json.loads(call(*given, "--json").out) == written
