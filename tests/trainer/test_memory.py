from __future__ import annotations

from pathlib import Path

import pytest

from trainer import control_groups, memory


@pytest.mark.parametrize("version", [0, 1])
def test_cached_files_of_a_container_count_as_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    """A volume that was read once would seem to fill the container otherwise."""
    _, limit, used, (inactive, active) = memory._CGROUP_FILES[version]
    monkeypatch.setattr(memory, "_CGROUP_FILES", ((tmp_path, limit, used, (inactive, active)),))
    (tmp_path / limit).write_text("2000000\n")
    (tmp_path / used).write_text("1900000\n")
    (tmp_path / "memory.stat").write_text(f"cache 9\n{inactive} 1000000\n{active} 500000\nrss 7\n")
    assert memory.free_memory() == 1_600_000


def test_container_without_a_limit_has_what_the_machine_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, limit, used, cached = memory._CGROUP_FILES[0]
    monkeypatch.setattr(memory, "_CGROUP_FILES", ((tmp_path, limit, used, cached),))
    plain = memory.free_memory()
    (tmp_path / limit).write_text("max\n")
    assert memory.free_memory() == pytest.approx(plain, rel=0.2)
    assert plain > 2_000_000


def test_the_limit_of_a_batch_job_is_that_of_its_own_group_and_of_those_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, limit, used, cached = memory._CGROUP_FILES[0]
    monkeypatch.setattr(memory, "_CGROUP_FILES", ((tmp_path, limit, used, cached),))
    monkeypatch.setattr(control_groups, "_OWN_GROUPS", tmp_path / "own")
    (tmp_path / "own").write_text("0::/slurm/job_7\n1:cpu:/elsewhere\n")
    for name, limits in {"": "max", "slurm": "900000", "slurm/job_7": "500000"}.items():
        group = tmp_path / name
        group.mkdir(exist_ok=True)
        (group / limit).write_text(limits)
        (group / used).write_text("100000")
        (group / "memory.stat").write_text("rss 7\n")
    assert memory.free_memory() == 400_000
    (tmp_path / "slurm" / limit).write_text("300000")
    assert memory.free_memory() == 200_000
    # From within a container the groups above its root cannot be seen.
    (tmp_path / "own").write_text("0::/../../slurm\n")
    assert memory.free_memory() > 2_000_000
