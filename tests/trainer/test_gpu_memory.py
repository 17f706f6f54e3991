from __future__ import annotations

from typing import Any

import pytest

from trainer.errors import InputError
from trainer.gpu_memory import RESERVE_BYTES, read_card_bytes, share_of_memory

CARD = 16_000_000_000


@pytest.mark.parametrize(
    ("share", "room"),
    [(1.0, 15_000_000_000), (2.0, 15_000_000_000), (0.5, 7_000_000_000), (0.25, 3_000_000_000)],
)
def test_a_share_is_that_of_the_card_less_what_tensorflow_does_not_count(
    share: float, room: int
) -> None:
    assert share_of_memory(CARD, share) == room
    if share < 1:
        processes = int(1 / share)
        assert processes * (room + RESERVE_BYTES) <= CARD


def test_a_share_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        share_of_memory(CARD, 0.05)
    assert str(caught.value) == (
        "workers.gpus_per_trial: expected at least 0.09 on a card of 16.0 GB, got 0.05; "
        "run fewer trials on it"
    )


class Driver:
    """Answers as CUDA's driver does, by the numbers that it is given."""

    def __init__(self, start: int = 0, device: int = 0, total: int = CARD) -> None:
        self._codes, self._total = (start, device), total

    def cuInit(self, flags: int) -> int:
        return self._codes[0]

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:
        return self._codes[1]

    def cuDeviceTotalMem_v2(self, total: Any, device: Any) -> int:
        total._obj.value = self._total
        return 0


def test_the_driver_says_how_large_the_card_is() -> None:
    assert read_card_bytes(lambda name: Driver()) == CARD


@pytest.mark.parametrize("driver", [Driver(start=100), Driver(device=101), object()])
def test_a_driver_that_refuses_says_nothing(driver: Any) -> None:
    assert read_card_bytes(lambda name: driver) is None


def test_a_machine_without_a_driver_says_nothing() -> None:
    def fail(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    assert read_card_bytes(fail) is None
