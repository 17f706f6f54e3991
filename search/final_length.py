"""How long a final training is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from optuna.trial import FrozenTrial

from search.config_sections import FinalConfig


def count_final_epochs(final: FinalConfig, known: Sequence[FrozenTrial], waves: int) -> int:
    """As many of the config's epochs as its hours have room for, and at least one.

    Args:
        final: The config's `[final]`.
        known: The winner and its repeats: how long their epochs took.
        waves: How many final trainings come one after the other.
    """
    seconds = [t.user_attrs["epoch_seconds"] for t in known if t.user_attrs.get("epoch_seconds")]
    if final.hours is None or not seconds:
        return final.epochs
    room = final.hours * 3600 / waves / statistics.mean(seconds)
    return max(1, min(final.epochs, int(room)))
