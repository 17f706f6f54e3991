"""How long a final training is."""

from __future__ import annotations

import math
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
    return fit_epochs(final, statistics.mean(seconds), waves) if seconds else final.epochs


def fit_epochs(final: FinalConfig, epoch_seconds: float, waves: int) -> int:
    """The same by the time of one epoch.

    A final training that has more cores than a trial of the search had may end before its hours:
    how much faster they make it is not known.
    """
    if final.hours is None or epoch_seconds <= 0:
        return final.epochs
    room = final.hours * 3600 / waves / epoch_seconds
    return max(1, min(final.epochs, int(room)))


def count_waves(final: FinalConfig, slots: int) -> int:
    """How many final trainings come one after the other; slots that are yet to come are enough.

    Args:
        final: The config's `[final]`.
        slots: Trials at a time.
    """
    return math.ceil(final.seeds / slots) if slots else 1
