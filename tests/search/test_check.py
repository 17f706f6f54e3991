"""What `check` shows of a search before it is started; its figures are tested in a real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_config import build_config

from search import check
from search.memory_watch import room_bytes
from search.presentation import present_check
from trainer.device import Device
from trainer.errors import InputError

CPU = Device("2 CPU cores", "cpu", "float32")


def test_a_gpu_has_its_own_memory_and_may_not_say_how_much() -> None:
    assert room_bytes(5, Device("Made Up", "gpu", "float32", 1, memory_bytes=3)) == 3
    assert room_bytes(5, Device("Made Up", "gpu", "float32", 1)) is None
    assert room_bytes(5, CPU) == 5
    assert (room_bytes(None, CPU) or 0) > 10**8


FACTS: dict[str, Any] = {
    "notes": ["volume: a note"],
    "database": "sqlite",
    "device": {"name": "2 cores", "precision": "float32", "slots": 2},
    "nodes": None,
    "rungs": [[1, 3]],
    "parameters": 1000,
    "networks": [],
    "price": {},
    "epoch_seconds": 2.0,
    "finalists": {"count": 3, "seeds": 2, "folds": 1, "repeats": 6},
    "hours": {"search_expected": 1.0, "search_at_most": 2.0, "finalists": 0.5, "final": 0.25},
    "cost": {"device_hours": 1.0, "money": None},
    "disk_bytes": 1e6,
}


def test_the_repeats_of_the_finalists_are_told_first(capsys: pytest.CaptureFixture[str]) -> None:
    present_check(FACTS)
    shown = " ".join(capsys.readouterr().out.split())
    assert "finalists: 6 trials at full length, beside the budget: about 30 minutes" in shown
    present_check(FACTS | {"finalists": {"repeats": 0}})
    assert "finalists" not in capsys.readouterr().out


def test_a_short_search_is_not_said_to_take_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    present_check(FACTS | {"hours": dict.fromkeys(FACTS["hours"], 0.004)})
    shown = " ".join(capsys.readouterr().out.split())
    assert "search: about 1 minute, at most 1 minute" in shown


def test_the_largest_node_is_known_and_a_cluster_may_have_none_yet() -> None:
    nodes = [{"cpus": 4.0}, {"cpus": 17.0}]
    assert check._Cluster(nodes, slots=9).slots_of_a_node(2) == 8
    assert check._Cluster([], slots=0).slots_of_a_node(2) == 1


@pytest.mark.parametrize(
    ("workers", "gpus", "slots"),
    [
        ({"cpus_per_trial": 1, "gpus_per_trial": 0.5}, 1, 2),
        ({"cpus_per_trial": 1, "gpus_per_trial": 1}, 0, None),
        ({"cpus_per_trial": 4096}, 0, None),
        ({"cpus_per_trial": 4096, "where": "inline"}, 0, 1),
    ],
)
def test_what_run_has_no_room_for_check_refuses(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: dict[str, Any],
    gpus: int,
    slots: int | None,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    config = build_config(tmp_path, workers={"where": "ray", **workers})
    if slots is not None:
        assert check._slots(config, gpus) == slots
        return
    with pytest.raises(InputError, match=rf"this machine has \(4 CPUs, {gpus} GPUs\), got"):
        check._slots(config, gpus)
