from __future__ import annotations

from pathlib import Path

import pytest
from small_config import build_config

from search.check import _check_middle
from search.memory_watch import room_bytes
from trainer.device import Device
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters

CPU = Device("2 CPU cores", "cpu", "float32")
LARGE = Hyperparameters(batch_size=64, filters=256)


def test_a_network_that_the_machine_has_not_the_memory_for_is_not_timed(tmp_path: Path) -> None:
    config = build_config(tmp_path, workers={"where": "ray", "memory_gb_per_trial": 2.0})
    with pytest.raises(InputError) as caught:
        _check_middle(LARGE, CPU, config)
    message = str(caught.value)
    assert message.startswith("space: expected a space whose middle fits this device; a step needs")
    assert "2.00 GB are all" in message
    assert "\n" not in message
    _check_middle(Hyperparameters(batch_size=1, filters=4, tile_size=64), CPU, config)


def test_a_gpu_has_its_own_memory_and_may_not_say_how_much() -> None:
    assert room_bytes(5, Device("Made Up", "gpu", "float32", 1, memory_bytes=3)) == 3
    assert room_bytes(5, Device("Made Up", "gpu", "float32", 1)) is None
    assert room_bytes(5, CPU) == 5
    assert (room_bytes(None, CPU) or 0) > 10**8
