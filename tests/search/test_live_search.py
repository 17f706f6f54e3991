"""Live searches of the benchmarks, on networks that cost nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import live_search, live_table
from benchmarks.live_table import LiveTable
from benchmarks.replay import STRATEGIES, replay, replay_one_at_a_time
from search.curves import Curve, ParametricCurves
from trainer.hyperparameters import Hyperparameters
from trainer.volume import Volume

EPOCHS = 3
VOLUME = Volume(np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1, 1), np.uint8), None)


@dataclass
class Trained:
    """What was trained, in its order, and when somebody pulls the plug."""

    epochs: list[tuple[Hyperparameters, int]] = field(default_factory=list)
    stop_after: int | None = None


class FreeRun:
    """A network whose scores are known without training it."""

    def __init__(self, trained: Trained, curve: Curve, run: Hyperparameters) -> None:
        self._trained, self._curve, self._run = trained, curve, run
        self.dice: list[float] = []
        self.heldout_dice: list[float] = []

    def advance(self) -> None:
        if len(self._trained.epochs) == self._trained.stop_after:
            raise KeyboardInterrupt
        self.dice.append(self._curve.values[len(self.dice)])
        self.heldout_dice.append(self.dice[-1] / 2)
        self._trained.epochs.append((self._run, len(self.dice)))

    def close(self) -> None:
        pass


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Trained:
    trained, space = Trained(), LiveTable(VOLUME, Path("none"), **settings()).space
    curves = ParametricCurves(space, epochs=EPOCHS, epoch_seconds=60, seed=1)

    def build(_: Volume, run: Hyperparameters, **__: Any) -> FreeRun:
        return FreeRun(trained, curves.curve(run), run)

    monkeypatch.setattr(live_table, "MeasuredRun", build)
    return trained


def settings() -> dict[str, Any]:
    return {"filters": 4, "epochs": EPOCHS, "tiles_per_epoch": 40, "seed": 0}


def test_a_network_is_trained_no_further_than_somebody_looks(
    trained: Trained, tmp_path: Path
) -> None:
    table = LiveTable(VOLUME, tmp_path / "kept.json", **settings())
    run = table.space.complete(table.one_at_a_time()[1].params)
    curve = table.curve(run)
    assert trained.epochs == []
    second = curve.values[1]
    assert trained.epochs == [(run, 1), (run, 2)]
    assert table.curve(run).values[1] == second
    assert len(trained.epochs) == 2
    (row,) = table.rows
    assert row.dice[1] == second
    assert row.heldout_dice[1] == second / 2


@pytest.mark.parametrize("stop_after", [1, 17, 60])
def test_a_search_that_was_stopped_finds_what_it_has_paid_for(
    trained: Trained, tmp_path: Path, stop_after: int
) -> None:
    def search(name: str) -> list[tuple[int, int]]:
        table = LiveTable(VOLUME, tmp_path / name, **settings())
        replay_one_at_a_time(table, slots=1)
        table = LiveTable(VOLUME, tmp_path / name, **settings())
        return replay(table, STRATEGIES["tpe_asha"], seed=0, slots=1, epochs=54)

    whole = search("whole.json")
    paid = list(trained.epochs)
    trained.epochs.clear()
    trained.stop_after = stop_after
    with pytest.raises(KeyboardInterrupt):
        search("stopped.json")
    before, ended = (
        {run for run, epoch in trained.epochs if epoch >= least} for least in (1, EPOCHS)
    )
    trained.epochs, trained.stop_after = [], None
    assert search("stopped.json") == whole
    # One that has to go on is trained from its beginning, and none that was at its end.
    after = {run for run, _ in trained.epochs}
    assert not after & ended
    assert after | before == {run for run, _ in paid}
    kept = json.loads((tmp_path / "stopped.json").read_text())
    assert kept == json.loads((tmp_path / "whole.json").read_text())


def test_the_result_is_the_last_line(
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(live_search, "load_volume", lambda raw, mask: VOLUME)
    files = ["--raw", "raw.tif", "--mask", "mask.tif", "--out", str(tmp_path)]
    assert live_search.main([*files, "--seeds", "0", "1", "--epochs", str(EPOCHS)]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out.splitlines()[-1])
    assert result["seeds"] == 2
    assert result["tiles"] == 18 * EPOCHS * 40
    assert set(result["heldout_dice"]) == {"one_at_a_time", result["default"]}
    assert printed.err.count("seed 1, ") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seed-0.json", "seed-1.json"]
