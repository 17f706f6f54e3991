from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_config import build_config

from search import timing
from search.check import check
from search.data import load_data
from search.timing import time_networks
from trainer.device import configure_device
from trainer.errors import InputError
from trainer.metrics import Scores
from trainer.session import EpochMetrics, TrainingSession

pytestmark = pytest.mark.slow
SPACE: dict[str, Any] = {"filters": [2, 4, 8], "depth": 1, "tile_size": 16, "batch_size": [2, 4]}


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(timing, "_ENOUGH_SECONDS", 0.02)
    return


def test_check_times_three_networks_and_tells_the_price(tmp_path: Path) -> None:
    config = build_config(
        tmp_path, space=SPACE, budget={"price_per_device_hour": 3.0}, study={"pruner": "median"}
    )
    facts = check(config)
    small, default, large = facts["networks"]
    assert [each["network"] for each in facts["networks"]] == ["small", "default", "largest"]
    assert small["parameters"] < default["parameters"] < large["parameters"]
    assert all(each["epoch_seconds"] > 0 for each in facts["networks"])
    assert facts["parameters"] == default["parameters"]
    assert facts["epoch_seconds"] == pytest.approx(default["epoch_seconds"], abs=0.01)
    assert facts["price"].keys() == {"search", "grid", "one_at_a_time"}
    assert facts["price"]["grid"]["trials"] == 6
    assert facts["rungs"] == [[1, 2]]


def test_each_part_of_an_epoch_is_scaled_by_what_it_grows_with() -> None:
    # 2 tiles: 3 and 5 seconds of training, 1 and 3 of measuring, 2 of validation.
    scores = Scores(0.0, 0.0, 0.0, 0.0, 0.5, 1)
    epochs = [
        EpochMetrics(1, 0.0, 0.0, 0.0, scores, None, seconds, 2.0, training)
        for seconds, training in ((6.0, 3.0), (10.0, 5.0))
    ]
    # 10 tiles and three times the sections; statistics are measured over all of 10 tiles, ...
    assert timing._whole_epoch(epochs, 2, 10, 3.0) == 4 * 5 + 2 * 5 + 2 * 3
    # ... and over the last 64 of 1000.
    assert timing._whole_epoch(epochs, 2, 1000, 3.0) == 4 * 500 + 2 * 32 + 2 * 3
    # A batch of more than are measured takes no longer to measure than an epoch's last tiles.
    assert timing._whole_epoch(epochs, 128, 1280, 1.0) == 4 * 10 + 2 + 2


def test_what_does_not_fit_is_said_so_and_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = build_config(tmp_path, space={**SPACE, "filters": [2, 1024]})
    monkeypatch.setattr(timing, "room_bytes", lambda limit, device: 50_000_000)
    timings = time_networks(config, load_data(config), configure_device(1))
    assert timings[0].epoch_seconds is not None
    assert timings[-1].epoch_seconds is None
    assert "a smaller batch, tile or network needs less" in str(timings[-1].reason)


def test_a_network_that_runs_out_of_memory_gives_back_what_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[TrainingSession] = []

    def run_out(session: TrainingSession) -> None:
        raise MemoryError("no room for an epoch")

    monkeypatch.setattr(TrainingSession, "advance", run_out)
    monkeypatch.setattr(TrainingSession, "close", lambda session: closed.append(session))
    config = build_config(tmp_path, space={**SPACE, "filters": 2, "batch_size": 2})
    timings = time_networks(config, load_data(config), configure_device(1))
    assert [each.reason for each in timings] == ["no room for an epoch"] * 3
    # All three are the same network, which is built once.
    assert len(closed) == 1


def test_a_space_of_which_nothing_fits_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "room_bytes", lambda limit, device: 1)
    with pytest.raises(InputError, match="expected networks that fit into the memory"):
        check(build_config(tmp_path, space=SPACE))
