"""Everything that can break around a search, broken for real."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from fault_rig import FaultRig
from optuna.trial import TrialState

from storage.studies import open_study_storage

pytestmark = pytest.mark.slow

Build = Callable[..., FaultRig]


def test_a_worker_that_is_killed_in_mid_epoch_costs_one_epoch(build: Build) -> None:
    rig = build()
    for trial in (0, 1):
        rig.fault(trial, 2, "wait")  # so that whichever worker it hits is at work
    rig.start()
    rig.wait_until(lambda: rig.epochs_written() >= 2)
    rig.workers()[0].kill()
    (rig.folder / "faults" / "go").touch()
    rig.finish()
    lost = [trial for trial in rig.check() if "lost" in trial.user_attrs.get("reason", "")]
    assert len(lost) == 1
    assert lost[0].user_attrs["attempt"] == 1


def test_a_ray_that_is_killed_and_a_checkpoint_that_is_cut_short_cost_an_epoch_each(
    build: Build,
) -> None:
    rig = build(trials=4, pruner="none")
    rig.fault(0, 3, "wait")  # so that the trial is not over before it is killed
    rig.start()
    rig.wait_until(lambda: len(rig.checkpoints.epochs(0)) == 2)
    workers = rig.workers()
    for process in [*rig.descendants("gcs_server"), *rig.descendants("raylet")]:
        # One may have ended with the other.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    started = time.monotonic()
    # On a busy machine Ray itself may end the process before it is found out here.
    assert "ray" in rig.finish(code=1).lower()
    assert time.monotonic() - started < 90
    # They outlive it by moments, in which another epoch can end.
    _, left = psutil.wait_procs(workers, timeout=60)
    assert left == []
    newest = max(rig.checkpoints.epochs(0))
    path = rig.folder / "runs/light/trials/00000" / f"epoch-{newest}.npz"
    path.write_bytes(path.read_bytes()[:200])
    rig.run()
    resumed = [t for t in rig.check() if t.user_attrs.get("retried_from") == 0]
    assert [trial.user_attrs["inherited_epochs"] for trial in resumed] == [newest - 1]


def test_a_worker_that_hangs_is_lost_and_replaced(build: Build) -> None:
    rig = build(environment={"LIGHT_PATIENCE_SECONDS": "3"})
    rig.start()
    rig.wait_until(lambda: rig.epochs_written() >= 3)
    rig.workers()[0].send_signal(signal.SIGSTOP)
    rig.finish()
    assert any("no answer" in trial.user_attrs.get("reason", "") for trial in rig.check())


def test_trials_that_fail_end_with_their_reason_and_a_full_disk_ends_the_search(
    build: Build,
) -> None:
    rig = build(trials=5, workers="memory_gb_per_trial = 0.7")
    # Both have ended before the trial that finds the disk full begins in the place of a third.
    rig.fault(0, 2, "memory")
    rig.fault(1, 3, "nan")
    rig.fault(4, 1, "disk")
    assert "epoch-1.npz could not be written" in rig.run(code=1)
    assert all(trial.state is not TrialState.RUNNING for trial in rig.all_trials())
    rig.run()
    beyond, diverged = rig.check()[:2]
    assert diverged.state is TrialState.FAIL
    assert "nan" in diverged.user_attrs["reason"]
    # Infeasible, and no lost worker.
    assert beyond.state is TrialState.PRUNED
    assert beyond.constraints["memory"] > 0
    assert "0.70 GB" in beyond.user_attrs["reason"]


def test_of_a_search_that_is_running_values_are_enqueued_and_a_second_one_is_refused(
    build: Build,
) -> None:
    rig = build(trials=6)
    for trial in (2, 3):
        rig.fault(trial, 1, "wait")  # however long it takes the commands to start
    first = rig.start()
    rig.wait_until(lambda: rig.epochs_written() >= 2)
    params = '{"learning_rate": 0.0123, "loss": "dice"}'
    number = json.loads(rig.call("enqueue", "light.toml", "--params", params, "--json"))["number"]
    assert "already run by" in rig.run(code=2)
    (rig.folder / "faults" / "go").touch()
    rig.process = first
    rig.finish()
    # Tried next, and nothing was harmed.
    trials = rig.check()
    assert trials[number].params == {"learning_rate": 0.0123, "loss": "dice"}


def test_a_study_that_is_deleted_in_mid_search_ends_it_in_one_line(build: Build) -> None:
    rig = build()
    rig.start()
    rig.wait_until(lambda: rig.epochs_written() >= 3)
    storage = open_study_storage(rig.database)
    storage.delete_study(storage.get_study_id_from_name("light"))
    storage.engine.dispose()
    said = rig.finish(code=1).strip().splitlines()
    assert "was deleted" in said[-1]


def _on_postgresql(server: Any, name: str) -> dict[str, str]:
    return {"UNET_SEARCH_DATABASE_URL": server.create_database(name)}


def test_a_database_that_is_gone_for_half_a_minute_is_waited_for(
    build: Build, postgres_server: Any
) -> None:
    rig = build(environment=_on_postgresql(postgres_server, "outage"))
    rig.start()
    rig.wait_until(lambda: rig.epochs_written() >= 3)
    postgres_server.stop()
    try:
        time.sleep(30)
        assert rig.process is not None
        assert rig.process.poll() is None
    finally:
        postgres_server.start()
    rig.finish()
    assert len(rig.check()) == rig.trials


def test_connections_that_are_cut_again_and_again_cost_nothing(
    build: Build, postgres_server: Any
) -> None:
    rig = build(trials=12, epoch_seconds=0.1, environment=_on_postgresql(postgres_server, "cut"))
    process = rig.start()
    rig.wait_until(lambda: rig.epochs_written() >= 2)
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'cut' "
        "AND pid <> pg_backend_pid()"
    )
    while process.poll() is None:
        postgres_server.execute(cut)
        time.sleep(0.7)
    rig.finish()
    assert len(rig.check()) == rig.trials
