"""The commands about a study, as they are typed: run, status, best and others."""

from __future__ import annotations

import functools
import json
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from command_line import CONFIG, Call, refusal

from search import best_view, export
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
    assert row["finalists"] is None
    assert row["counts"]["COMPLETE"] == 1
    assert row["trials"][0]["epochs"] == 3


def test_the_status_tells_repeats_and_final_training(call: Call, study: optuna.Study) -> None:
    beside = optuna.create_study(study_name="mito/finalists", storage=study._storage)
    beside.enqueue_trial({}, user_attrs={"finalist": 0})
    beside.ask().report(0.5, 2)
    shown = call("status", "mito.toml").out
    assert "mito/finalists: repeats 1 RUNNING; running trial 0 after epoch 2; 0.00 " in shown
    row = json.loads(call("status", "mito.toml", "--json").out)
    assert row["finalists"]["repeats"] == {"RUNNING": 1}


def test_a_trial_that_found_one_class_is_told_so(
    call: Call, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = study.trials[0]
    trial.user_attrs["collapsed_to"] = "background"
    FakeRun.result = Result(Ending("done", "all done"), trial, None)
    monkeypatch.setattr(run_module, "SearchRun", FakeRun)
    shown = call("run", "mito.toml").out
    assert "best trial: 0 (all background: it has learned nothing)" in shown
    study.add_trial(trial)
    line = next(each for each in call("status", "mito.toml").out.splitlines() if each[0] == "1")
    assert line.split("  ")[-1].strip().endswith("all background")
    assert "trial 1: Dice 0.7500, all background" in call("best", "mito.toml").out


def test_the_best_are_printed_for_people_and_for_programs(call: Call, study: optuna.Study) -> None:
    shown = call("best", "mito.toml")
    assert (shown.code, shown.err) == (0, "")
    assert "trial 0: Dice 0.7500" in shown.out
    assert "learning_rate = " in shown.out
    (row,) = json.loads(call("best", "mito.toml", "--top", "1", "--json").out)
    assert (row["number"], row["value"], row["model"]) == (0, 0.75, None)


def test_what_there_is_to_note_of_an_export_is_told(
    call: Call, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = {
        "trial": [1, 0],
        "files": [],
        "notes": ["not a final training"],
        "publication": {"authors": ["Ada"]},
    }
    monkeypatch.setattr(export, "export_trial", lambda *given, ensemble: card)
    shown = call("export", "mito.toml", "--out", "out", "--ensemble")
    assert (shown.code, shown.err) == (0, "trials 1, 0 written to out:\nnot a final training\n")


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
    card = {
        "threshold": 0.4,
        "validation": {"dice": 0.9, "of": "this model, on unseen sections"},
        "postprocessing": {"views": 8, "z_median_sections": 3, "windows": None},
    }
    monkeypatch.setattr(best_view, "load_card", lambda folder: card)
    shown = call("run", "mito.toml").out
    assert "the model: Dice 0.9000 at threshold 0.40: this model, on unseen sections" in shown
    assert "what follows the network: whole sections, the mean over 8 views, a median" in shown
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


def test_the_second_ctrl_c_ends_without_a_traceback(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeRun.result = KeyboardInterrupt
    monkeypatch.setattr(run_module, "SearchRun", FakeRun)
    answer = call("run", "mito.toml")
    assert (answer.code, answer.out) == (130, "")
    assert "Traceback" not in answer.err
