"""How long a worker may be silent."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from search.memory_watch import MemoryRecord
from search.patience import Patience
from search.pulse import Pulse


@pytest.mark.parametrize(
    ("last_epoch", "longest_first", "allowed"),
    [(1.0, 0.0, 60.0), (20.0, 500.0, 100.0), (None, 30.0, 600.0), (None, 200.0, 1000.0)],
)
def test_a_call_may_take_five_times_what_is_known_of_the_like(
    last_epoch: float | None, longest_first: float, allowed: float
) -> None:
    assert Patience().seconds(last_epoch, longest_first) == allowed


def computed(path: Path, cpu_seconds: float) -> None:
    path.write_text(json.dumps(asdict(MemoryRecord(0, 1, None, 0.5, cpu_seconds))))


def test_a_process_that_computes_is_trusted_a_minute_at_a_time(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    pulse = Pulse(record, Patience(busy_seconds=1000.0))
    computed(record, 300.0)
    assert pulse.beats(601.0)
    assert pulse.beats(661.0)
    computed(record, 303.0)
    assert pulse.beats(662.0)
    computed(record, 304.1)
    assert not pulse.beats(723.0)
    computed(record, 1e9)
    assert not pulse.beats(1000.1)


def test_a_process_that_nobody_can_look_at_has_no_pulse(tmp_path: Path) -> None:
    assert not Pulse(tmp_path / "none.json", Patience()).beats(601.0)
