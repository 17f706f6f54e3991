"""Every check of a volume that needs no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from trainer.exposure import find_drift, find_saturation
from trainer.finding import Finding, Unchecked
from trainer.mask_alignment import find_mask_shift
from trainer.section_copies import find_blank, find_duplicates
from trainer.section_order import find_spoiled, find_swapped

_CHECKS: Sequence[Callable[[np.ndarray], Sequence[Finding | Unchecked]]] = (
    find_blank,
    find_duplicates,
    find_saturation,
    find_drift,
    find_swapped,
    find_spoiled,
)


def check_data(raw: np.ndarray, mask: np.ndarray | None) -> tuple[list[Finding], list[Unchecked]]:
    """Looks for what spoils a training: blank, copied, saturated, drifting, swapped or moved.

    Args:
        raw: Grey values, (z, y, x).
        mask: 0 or 1, uint8, (z, y, x), or None where there is none.

    Returns:
        What was found, and which checks this volume does not allow.
    """
    results = list(_run_checks(raw, mask))
    return (
        [result for result in results if isinstance(result, Finding)],
        [result for result in results if isinstance(result, Unchecked)],
    )


def _run_checks(raw: np.ndarray, mask: np.ndarray | None) -> Iterator[Finding | Unchecked]:
    for check in _CHECKS:
        yield from check(raw)
    yield from find_mask_shift(raw, mask)
