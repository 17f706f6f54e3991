"""The arithmetic of the benchmarks of orchestration; what they measure is not for a test to say."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from sqlalchemy import make_url

from benchmarks import orchestration
from benchmarks.contest import summarize
from benchmarks.lap import Lap, Stopwatch
from benchmarks.ledger import Ledger, public_methods
from benchmarks.machine import describe_machine
from benchmarks.noop import EPOCHS, SPACE, NoopRunner, build_task, draw, score
from benchmarks.postgres_server import PostgresServer, find_binaries
from benchmarks.study_growth import growth, multiply_trials, split_time
from benchmarks.utilisation import share_trained
from search.assignment import Assignment
from storage.database import Database


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Storage:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def read(self) -> str:
        self._clock.now += 2
        return "read"


class Sampler:
    def __init__(self, clock: Clock, storage: Storage) -> None:
        self._clock, self._storage = clock, storage

    def sample(self) -> str:
        self._clock.now += 1
        what = self._storage.read()
        self._clock.now += 4
        return what

    def fail(self) -> None:
        self._clock.now += 8
        raise ValueError


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_every_second_is_charged_to_exactly_one_account(clock: Clock) -> None:
    storage = Storage(clock)
    sampler, ledger = Sampler(clock, storage), Ledger(clock)
    ledger.watch(storage, ["read"], "storage")
    ledger.watch(sampler, ["sample"], "sampler")
    clock.now += 16
    assert sampler.sample() == "read"
    assert ledger.accounts() == {"rest": 16, "sampler": 5, "storage": 2}


def test_a_call_that_raises_is_charged_all_the_same(clock: Clock) -> None:
    sampler, ledger = Sampler(clock, Storage(clock)), Ledger(clock)
    ledger.watch(sampler, ["fail"], "sampler")
    with pytest.raises(ValueError):
        sampler.fail()
    clock.now += 1
    assert ledger.accounts() == {"rest": 1, "sampler": 8}


def test_another_thread_is_charged_to_nobody(clock: Clock) -> None:
    storage, ledger = Storage(clock), Ledger(clock)
    ledger.watch(storage, ["read"], "storage")
    thread = threading.Thread(target=storage.read)
    thread.start()
    thread.join()
    assert ledger.accounts() == {"rest": 2}


def test_a_reset_ledger_starts_from_nothing(clock: Clock) -> None:
    ledger = Ledger(clock)
    clock.now += 3
    ledger.reset()
    clock.now += 2
    assert ledger.accounts() == {"rest": 2}


def test_public_methods_are_those_that_others_may_call() -> None:
    assert public_methods(Sampler) == ["fail", "sample"]


def test_a_stopwatch_starts_when_its_warm_up_has_ended(clock: Clock) -> None:
    started: list[float] = []
    stopwatch = Stopwatch(lambda: started.append(clock.now), warm_up=2, clock=clock)
    for trials, now in ((0, 1.0), (1, 5.0), (2, 6.0), (2, 7.0), (4, 8.0)):
        clock.now = now
        stopwatch.ended(trials)
    assert started == [6.0]
    assert (stopwatch.lap().trials, stopwatch.lap().ms_per_trial) == (2, 1000.0)


def test_what_comes_after_the_last_trial_can_be_counted(clock: Clock) -> None:
    stopwatch = Stopwatch(warm_up=1, clock=clock)
    stopwatch.ended(1)
    stopwatch.ended(2)
    clock.now = 3.0
    stopwatch.prolong()
    assert stopwatch.lap().seconds == 3.0


def test_a_block_of_warm_up_alone_is_refused(clock: Clock) -> None:
    stopwatch = Stopwatch(warm_up=2, clock=clock)
    stopwatch.ended(2)
    with pytest.raises(RuntimeError, match="more than 2 trials"):
        stopwatch.lap()


def test_a_contender_is_judged_by_its_middle_block() -> None:
    laps = {
        "coordinator": [Lap(10, 0.1), Lap(10, 0.2), Lap(10, 9.0)],
        "optuna": [Lap(10, 1.0)] * 3,
        "ray_tune": [Lap(10, 0.4)] * 3,
    }
    summary = summarize(laps, {"coordinator": 9.0, "optuna": 8.0, "ray_tune": 5.0})
    assert summary["coordinator_ms_per_trial"] == 20.0
    assert (summary["ratio_optuna"], summary["ratio_ray_tune"]) == (0.2, 0.5)
    assert summary["ms_per_epoch"]["ray_tune"] == 8.0
    assert summary["blocks_ms_per_trial"]["coordinator"] == [10.0, 20.0, 900.0]


def test_growth_leaves_the_sampler_out() -> None:
    small = split_time([Lap(10, 0.03, {"sampler": 0.01, "ray": 0.02})])
    large = split_time([Lap(10, 1.03, {"sampler": 1.0, "ray": 0.02, "rest": 0.01})])
    assert large["total"] == pytest.approx(103.0)
    assert small["storage"] == 0.0
    assert growth(small, large) == pytest.approx(1.5)


def test_slots_train_from_the_first_epoch_to_the_last() -> None:
    facts = [
        {"began": 10.0, "ended": 13.5, "trained_seconds": 3.0},
        {"began": 10.5, "ended": 13.5, "trained_seconds": 3.0},
        {"began": 13.5, "ended": 17.0, "trained_seconds": 3.0},
        {"began": 14.0, "ended": 20.0, "trained_seconds": 3.0},
    ]
    assert share_trained(facts, slots=2) == pytest.approx(0.6)


def test_no_trial_can_be_told_from_another_before_its_last_epoch() -> None:
    for epoch in range(1, EPOCHS):
        assert score(0.1, 0.9, epoch) == score(0.4, 0.8, epoch)
    assert score(0.1, 0.9, EPOCHS) > score(0.4, 0.8, EPOCHS)


def test_a_trial_that_trains_nothing_reports_every_epoch(tmp_path: Path) -> None:
    trial = optuna.create_study().ask()
    runner = NoopRunner(build_task(tmp_path))
    runner.begin(Assignment(3, SPACE.suggest(trial), EPOCHS, 1, "train", 0))
    reports = [runner.advance() for _ in range(EPOCHS)]
    assert [report.epoch for report in reports] == list(range(1, EPOCHS + 1))
    assert reports[-1].history == tuple(report.value for report in reports)
    assert draw(trial) == trial.params
    assert len(trial.params) == 6


def test_the_processor_is_named(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Fast One\nmodel name\t: Fast One\n")
    assert describe_machine(cpuinfo)["cpu"] == "Fast One"
    assert describe_machine(tmp_path / "none")["cpu"]


def test_without_a_server_the_program_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(orchestration, "find_binaries", lambda: None)
    assert orchestration.main(["--quick"]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    assert "PostgreSQL" in error


def test_without_ray_tune_the_program_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(orchestration, "find_binaries", lambda: Path("/bin"))
    monkeypatch.setitem(sys.modules, "ray.tune", None)
    assert orchestration.main(["--quick"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "EXTRAS=bench" in error


def test_the_result_is_the_last_line_and_can_be_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def measure(plan: orchestration.Plan, say: Any) -> dict[str, Any]:
        print("whatever a library prints")
        return {"trials": plan.trials}

    monkeypatch.setattr(orchestration, "measure", measure)
    assert orchestration.main(["--trials", "7", "--out", str(tmp_path / "o.json")]) == 0
    assert capsys.readouterr().out == '{"trials": 7}\n'
    assert json.loads((tmp_path / "o.json").read_text()) == {"trials": 7}


@pytest.mark.slow
def test_a_multiplied_study_is_one_that_goes_on(postgres_server: Any) -> None:
    url = make_url(postgres_server.create_database("multiplied"))
    database = Database(url.set(drivername="postgresql+psycopg2"))
    study = _study_of_three(database)
    multiply_trials(database, copies=4)
    study = _open(database)
    trials = study.get_trials()
    assert [trial.number for trial in trials] == list(range(12))
    for trial in trials:
        first = trials[trial.number % 3]
        assert (trial.params, trial.intermediate_values) == (
            first.params,
            first.intermediate_values,
        )
        assert (trial.value, trial.user_attrs, trial.system_attrs) == (
            first.value,
            first.user_attrs,
            first.system_attrs,
        )
    assert study.ask().number == 12


def _open(database: Database) -> optuna.Study:
    url = database.url.render_as_string(hide_password=False)
    return optuna.create_study(storage=RDBStorage(url), study_name="mito", load_if_exists=True)


def _study_of_three(database: Database) -> optuna.Study:
    study = _open(database)
    for _ in range(3):
        trial = study.ask()
        value = trial.suggest_float("dropout", 0.0, 0.5)
        trial.report(value, 1)
        trial.set_user_attr("threshold", 0.5)
        trial.set_constraint("memory", -1.0)
        study.tell(trial, value)
    return study


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server")
    with PostgresServer(binaries) as server:
        yield server


@pytest.mark.slow
def test_a_server_of_its_own_writes_durably_and_shows_no_password(server: PostgresServer) -> None:
    database = server.create_database("mine")
    assert str(database.url.password) not in repr(database)
    study = _open(database)
    storage = study._storage._backend  # type: ignore[attr-defined]
    with storage.engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW fsync").scalar() == "on"
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    assert server.commit_ms() > 0
