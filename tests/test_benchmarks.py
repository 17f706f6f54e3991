"""The benchmarks' own arithmetic; what they measure is not for a test to say."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import RDBStorage
from sqlalchemy import make_url

from benchmarks import (
    execution_modes,
    orchestration,
    prediction,
    prediction_sides,
    sampler,
    sharing,
    side,
    training,
    training_sides,
)
from benchmarks.contest import summarize
from benchmarks.lap import Lap, Stopwatch
from benchmarks.ledger import Ledger, public_methods
from benchmarks.machine import describe_machine
from benchmarks.noop import EPOCHS, SPACE, NoopRunner, build_task, draw, score
from benchmarks.postgres_server import PostgresServer, find_binaries
from benchmarks.study_growth import growth, multiply_trials, split_time
from benchmarks.training_task import build_tiles, build_volume
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


def test_samplers_are_held_against_each_other(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "sampler.json"
    assert sampler.main(["--quick", "--out", str(out)]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told == json.loads(out.read_text())
    assert set(told["ask_ms"]) == {"30", "60"}
    # So small a study is shown whole: the bound changes nothing.
    plain = {task: sizes["40"] for task, sizes in told["quality"].items() if task != "curves"}
    assert all(row["bounded"] == row["optuna"] for row in plain.values())
    assert all(row["better"] == row["worse"] == 0 for row in plain.values())


@pytest.mark.parametrize(("wins", "losses", "p"), [(0, 0, 1.0), (5, 5, 1.0), (10, 0, 2 / 1024)])
def test_split_that_is_uneven_is_unlikely(wins: int, losses: int, p: float) -> None:
    assert sampler.sign_test(wins, losses) == pytest.approx(p)
    assert sampler.sign_test(losses, wins) == pytest.approx(p)


def test_sides_are_compared_turn_by_turn() -> None:
    def made(*rates: float) -> side.Side:
        made = side.Side.__new__(side.Side)
        made._unit = "images"
        made.blocks = [{"images": rate, "seconds": 1.0} for rate in rates]
        return made

    assert made(20, 10, 30).times_as_fast(made(10, 10, 10)) == 2.0
    assert made(20, 10, 30).rate == 20


def test_all_sides_of_training_learn_from_the_same_tiles() -> None:
    tiles = build_tiles(build_volume())
    images, masks = tiles.batch(0)
    assert images.shape == masks.shape == (8, 256, 256, 1)
    ones = np.ones((32, 384, 384), np.float32)
    image, mask = training_sides.classic_tile(ones, ones, 0)
    assert image.shape == mask.shape == (256, 256)
    assert set(training_sides.SIDES) == {*training._STEPS, "matrix"}


def test_every_way_to_run_the_network_is_tried_once() -> None:
    modes = execution_modes.modes(["float32", "mixed_bfloat16"])
    assert len({tuple(vars(mode).items()) for mode in modes}) == len(modes) == 10
    assert modes[0] == execution_modes.Mode("float32", jit=False, normalization="fused")
    assert sum(not mode.onednn for mode in modes) == 2


def test_the_fastest_way_is_named_and_one_that_failed_says_why() -> None:
    slow, fast, failed = execution_modes.modes(["float32"])[:3]
    summary = execution_modes.summarize(
        [
            (slow, {"images_per_second": 3.0}),
            (fast, {"images_per_second": 8.0}),
            (failed, {"error": "no result within 5 seconds"}),
        ],
        {"cores": 2},
    )
    assert summary["fastest"] == {**vars(fast), "images_per_second": 8.0}
    assert summary["modes"][2]["error"] == "no result within 5 seconds"
    assert execution_modes.summarize([(slow, {"error": "none"})], {})["fastest"] is None


def test_a_way_that_takes_too_long_or_fails_ends_no_benchmark() -> None:
    mode = execution_modes.Mode("float32", jit=False, normalization="fused")
    late = execution_modes.measure_apart(mode, 1, timeout_seconds=0.05)
    assert late == {"error": "no result within 0.05 seconds"}
    broken = execution_modes.Mode("float31", jit=False, normalization="fused")
    assert "float31" in execution_modes.measure_apart(broken, 1, timeout_seconds=120)["error"]


class _Ones:
    """A network that is sure of everything; it counts what it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def predict(self, images: np.ndarray, verbose: int) -> np.ndarray:
        self.asked += 1
        return np.ones_like(images)


@pytest.mark.parametrize(("overlap", "windows"), [(0.0, 3 * 4), (0.5, 5 * 7)])
def test_the_reports_windows_cover_a_section(overlap: float, windows: int) -> None:
    network = _Ones()
    found = prediction_sides.predict_as_report(network, np.zeros((768, 1024), np.float32), overlap)
    assert network.asked == windows
    assert (found == 1).all()


@pytest.mark.slow
def test_prediction_is_held_against_the_reports(capsys: pytest.CaptureFixture[str]) -> None:
    size = ["--sections", "1", "--height", "256", "--width", "272", "--turns", "1"]
    assert prediction.main([*size, "--filters", "2", "--depth", "1"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["voxels_per_second"] > 0
    assert told["ratio_windowed"] > 0
    assert set(told["sides_voxels_per_second"]) == {"whole_sections", "same_windows", "report"}


def test_the_operations_of_a_network_are_those_of_its_convolutions() -> None:
    from benchmarks.arithmetic import count_training_operations
    from trainer.device import configure_device
    from trainer.hyperparameters import Hyperparameters
    from trainer.unet import build_unet

    configure_device(1)  # before TensorFlow's first operation
    network = build_unet(Hyperparameters(depth=1, filters=2))
    inner = 9 * (2 * 4 + 4 * 4) * 4 * 4  # the centre, at half the resolution of tiles of 8
    outer = (9 * (1 * 2 + 2 * 2 + 4 * 2 + 2 * 2) + 4 * 2 + 2 * 1) * 8 * 8
    assert count_training_operations(network, 1, 8) == 3 * 2 * (inner + outer)


def test_trainings_that_share_a_device_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Training:
        told: Mapping[str, str] = {"ready": "a device"}
        at_work = 0

        def __init__(self, *arguments: Any) -> None:
            self.blocks: list[dict[str, float]] = []

        def await_ready(self) -> None:
            pass

        def begin_turn(self) -> None:
            Training.at_work += 1

        def await_turn(self) -> None:
            # Two of them get as much as one and a half.
            seconds = 1.0 if Training.at_work == 1 else 4 / 3
            self.blocks.append({"images": 10.0, "seconds": seconds, "waited": seconds / 10})

        def end(self) -> None:
            pass

    monkeypatch.setattr(sharing, "Side", Training)
    monkeypatch.setattr(sharing, "_measure_together", _resetting(sharing._measure_together))
    shared = sharing.measure([1, 2], blocks=1, steps=1)
    assert shared["device"] == "a device"
    assert shared["trainings"]["1"] == {"images_per_second": 10.0, "data_wait_share": 0.1}
    assert shared["trainings"]["2"] == {"images_per_second": 15.0, "data_wait_share": 0.1}


def _resetting(measure: Callable[..., Any]) -> Callable[..., Any]:
    def reset(sides: Sequence[Any], blocks: int) -> Any:
        type(sides[0]).at_work = 0
        return measure(sides, blocks)

    return reset
