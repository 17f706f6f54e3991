"""The arithmetic of the benchmarks of samplers; what they measure is not for a test to say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import sampler


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
