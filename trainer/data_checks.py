"""Every check of a volume that needs no network."""

from __future__ import annotations

import numpy as np

from trainer.exposure import find_drift, find_saturation
from trainer.finding import Finding
from trainer.mask_alignment import find_mask_shift
from trainer.section_copies import find_blank, find_duplicates
from trainer.section_order import find_spoiled, find_swapped


def check_data(raw: np.ndarray, mask: np.ndarray | None) -> list[Finding]:
    """Looks for what spoils a training: blank, copied, saturated, drifting, swapped or moved.

    Args:
        raw: Grey values, (z, y, x).
        mask: 0 or 1, uint8, (z, y, x), or None where there is none.
    """
    findings = [
        finding
        for check in (
            find_blank,
            find_duplicates,
            find_saturation,
            find_drift,
            find_swapped,
            find_spoiled,
        )
        for finding in check(raw)
    ]
    if mask is not None:
        findings.extend(find_mask_shift(raw, mask))
    return findings
