from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainer import control_groups, cores
from trainer.cores import usable_cores


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    own = tmp_path / "own"
    own.write_text("1:name=systemd:/\n4:cpu,cpuacct:/job\n0::/jobs/seven\n")
    folder = tmp_path / "jobs" / "seven"
    folder.mkdir(parents=True)
    monkeypatch.setattr(control_groups, "_OWN_GROUPS", own)
    monkeypatch.setattr(cores, "_UNIFIED", tmp_path)
    monkeypatch.setattr(cores, "_OF_FIRST_VERSION", tmp_path / "cpu")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    return folder


@pytest.mark.parametrize(
    ("inner", "outer", "count"),
    [
        ("max 100000", None, 16),
        ("400000 100000", None, 4),
        ("max 100000", "250000 100000", 2),
        ("800000 100000", "250000 50000", 5),
        ("50000 100000", None, 1),
        ("9900000 100000", None, 16),
        ("", None, 16),
    ],
)
def test_a_quota_of_the_group_or_of_one_above_it_is_the_limit(
    group: Path, inner: str, outer: str | None, count: int
) -> None:
    (group / "cpu.max").write_text(inner)
    if outer:
        (group.parent / "cpu.max").write_text(outer)
    assert usable_cores() == count


@pytest.mark.parametrize(("quota", "count"), [(-1, 16), (300000, 3)])
def test_a_quota_of_the_first_version_is_one_as_well(group: Path, quota: int, count: int) -> None:
    job = group.parents[1] / "cpu" / "job"
    job.mkdir(parents=True)
    (job / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (job / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores() == count


def test_affinity_is_the_limit_where_nothing_else_is(
    group: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (group.parents[1] / "own").unlink()
    assert usable_cores() == 16
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert usable_cores() == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores() == os.cpu_count()
