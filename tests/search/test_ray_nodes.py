"""A Ray cluster whose nodes come and go, and one that dies altogether."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.assignment import Assignment, Begun, EpochReport, Event, Failure, Task
from search.node_check import NodeFacts, _hash, check_nodes
from search.provenance import describe_software
from search.ray_cluster import ray_cluster
from search.ray_workers import RayWorkers
from search.study_volume import StudyVolume
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.split import split_sections
from trainer.volume import Volume

pytestmark = [
    pytest.mark.slow,
    # Ray's own, in its class of test clusters.
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::ResourceWarning"),
]


def _runner() -> type:
    # Made in a function, so that Ray sends it by value: workers cannot import the tests.
    class Runner:
        def __init__(self, task: Task) -> None:
            pass

        def begin(self, assignment: Assignment) -> Begun:
            self.epoch = 0
            return Begun(None)

        def close(self) -> None:
            pass

        def advance(self) -> EpochReport:
            self.epoch += 1
            time.sleep(0.3)
            return EpochReport(self.epoch, 0.5, (0.5,) * self.epoch)

    return Runner


def _task() -> Task:
    raw = np.zeros((20, 8, 8), np.uint8)
    volume = Volume(raw, raw, None, ())
    return Task(
        (StudyVolume(volume, split_sections(20, gap=1)),), Path("nowhere"), 1, study="tests"
    )


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    with ray_cluster():
        yield cluster
    cluster.shutdown()


def _begin(workers: RayWorkers, trial: int) -> None:
    workers.begin(Assignment(trial, Hyperparameters(), 3, 1, "train", 0))


def _run_until(workers: RayWorkers, reached: Callable[[Event], bool]) -> Event:
    """Advances whatever answers."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for event in workers.wait(1.0):
            if not isinstance(event.outcome, Failure):
                workers.advance(event.trial)
            if reached(event):
                return event
    raise AssertionError("it did not come so far within two minutes")


def _failed(event: Event) -> bool:
    return isinstance(event.outcome, Failure)


def test_nodes_come_and_go(nodes: Any, tmp_path: Path) -> None:
    workers = RayWorkers(replace(_task(), logs=tmp_path), cpus=1, runner=_runner())
    assert workers.slots() == 1
    _begin(workers, 0)
    second = nodes.add_node(num_cpus=1)
    _run_until(workers, lambda event: workers.free() == 1)
    _begin(workers, 1)
    _run_until(workers, lambda event: event.trial == 1 and isinstance(event.outcome, EpochReport))

    nodes.remove_node(second, allow_graceful=False)
    failure = _run_until(workers, _failed)
    assert failure.trial == 1
    assert isinstance(failure.outcome, Failure)
    assert failure.outcome.kind == "lost"
    # The cluster itself takes longer to notice.
    assert workers.free() == 0
    _run_until(workers, lambda event: event.trial == 0)

    # Asked for on a node that is none any more.
    _begin(workers, 2)
    failure = _run_until(workers, _failed)
    assert failure.trial == 2
    assert isinstance(failure.outcome, Failure)
    assert "lost before the worker had started" in failure.outcome.reason

    nodes.add_node(num_cpus=1)
    _run_until(workers, lambda event: workers.free() == 1)
    _begin(workers, 3)
    _run_until(workers, lambda event: event.trial == 3 and isinstance(event.outcome, EpochReport))
    workers.close()


PROGRAM = """
import os, signal, sys, time
import psutil
from search.errors import ClusterLost
from test_ray_nodes import _begin, _runner, _run_until, _task
from search.ray_cluster import ray_cluster
from search.ray_workers import RayWorkers
from dataclasses import replace
from pathlib import Path

try:
    with ray_cluster(cpus=2):
        workers = RayWorkers(replace(_task(), logs=Path(sys.argv[1])), cpus=1, runner=_runner())
        _begin(workers, 0)
        _run_until(workers, lambda event: True)
        doomed = [each for each in psutil.Process().children() if each.name() in sys.argv[2:]]
        for process in doomed:
            process.kill()
        # A killed process still listens for a moment.
        psutil.wait_procs(doomed, timeout=60)
        try:
            _run_until(workers, lambda event: False)
        finally:
            workers.close()
except ClusterLost as error:
    # What is ending by itself is nothing that is left.
    _, left = psutil.wait_procs(psutil.Process().children(recursive=True), timeout=60)
    print([process.pid for process in left], error)
    sys.exit(7)
"""


@pytest.mark.parametrize("killed", ["gcs_server", "raylet"])
def test_a_cluster_that_dies_is_told_in_one_line_and_leaves_nothing(
    tmp_path: Path, killed: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), killed],
        env={**environment, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("[] ")
    assert "Ray cluster" in line


_SAID = {
    "expected keras": {"software": {"keras": "2.0"}},
    "expected the data with hash": {"data_hash": "0" * 64},
    "expected study.runs to be one folder that all nodes": {"wrote": False},
    "is not the same folder there": {"wrote": True},
    "make its folder readable": {"unreadable": "old/model: make its folder readable"},
    "expected unet-search to be installed there": {"error": "No module named 'search'"},
}
"""What is said of a node that answers like this."""


def test_every_node_is_asked_whether_it_can_run_trials(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes.add_node(num_cpus=3)
    runs = tmp_path / "runs"
    found = check_nodes([_task().volumes[0].volume], runs)
    assert sorted(node["cpus"] for node in found) == [1, 3]
    assert list(runs.iterdir()) == []
    for said, answer in _SAID.items():
        monkeypatch.setattr("search.node_check._examine", _answering(answer))
        with pytest.raises(InputError, match=said) as caught:
            check_nodes([_task().volumes[0].volume], runs)
        assert str(caught.value).startswith("node ")
        assert "\n" not in str(caught.value)
        assert list(runs.iterdir()) == []


def _answering(answer: dict[str, Any]) -> Any:
    software = describe_software()

    def examine(volumes: Any, mark: Path, node: str, earlier: Any) -> NodeFacts:
        # What another machine could say; Ray sends this function by value.
        if "error" in answer:
            raise ModuleNotFoundError(answer["error"])
        facts = {"software": software, "data_hash": _hash(volumes), "wrote": True, **answer}
        return NodeFacts(**{**facts, "software": {**software, **facts["software"]}})

    return examine
