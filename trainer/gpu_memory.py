"""How much of a GPU's memory a process may take."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from trainer.errors import InputError

_GB = 1e9
RESERVE_BYTES = 1_000_000_000
"""Of every process on a card: CUDA's context and libraries, which TensorFlow does not count."""
_LEAST_BYTES = 500_000_000


def share_of_memory(total: int, share: float) -> int:
    """Bytes that a process may take for its tensors.

    Args:
        total: Bytes of the card.
        share: Of the card, above 0; 1 and more is all of it.

    Raises:
        InputError: So small a share leaves nothing to train in.
    """
    room = int(min(share, 1.0) * total) - RESERVE_BYTES
    if room < _LEAST_BYTES:
        least = (RESERVE_BYTES + _LEAST_BYTES) / total
        raise InputError(
            f"workers.gpus_per_trial: expected at least {least:.2f} on a card of "
            f"{total / _GB:.1f} GB, got {share:g}; run fewer trials on it"
        )
    return room


def read_card_bytes(load: Callable[[str], Any] = ctypes.CDLL) -> int | None:
    """Memory of the first GPU that this process sees, or None where the driver does not say.

    TensorFlow tells it only once it has set the card up, and then it is too late for a limit. The
    driver heeds `CUDA_VISIBLE_DEVICES`, and makes no context for this question.

    Args:
        load: Opens a library by its name.
    """
    try:
        driver = load("libcuda.so.1")
        device, total = ctypes.c_int(), ctypes.c_size_t()
        failed = (
            driver.cuInit(0)
            or driver.cuDeviceGet(ctypes.byref(device), 0)
            or driver.cuDeviceTotalMem_v2(ctypes.byref(total), device)
        )
    except (OSError, AttributeError):
        return None
    return None if failed else int(total.value)
