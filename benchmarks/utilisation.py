"""The share of slot time that is spent training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from benchmarks.noop import SLOTS, SecondRunner
from benchmarks.ours import OurSearch
from storage.database import Database

EPOCHS_OF_A_SECOND = 3


def measure_utilisation(database: Database, folder: Path, *, trials: int) -> float:
    """Runs trials of 3 epochs of 1 s, none of which is stopped early."""
    with OurSearch(
        database, folder, pruner="none", epochs=EPOCHS_OF_A_SECOND, runner=SecondRunner
    ) as search:
        search.run(trials, warm_up=1)
        finished = search.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return share_trained([trial.user_attrs for trial in finished], slots=SLOTS)


def share_trained(facts: Iterable[Mapping[str, Any]], *, slots: int) -> float:
    """The share of slot time spent in epochs, from the first one's start to the last one's end.

    Args:
        facts: Of each trial: when its first epoch `began`, when its last one `ended`, and its
            `trained_seconds`.
        slots: Trials at a time.
    """
    facts = list(facts)
    start = min(each["began"] for each in facts)
    end = max(each["ended"] for each in facts)
    return float(sum(each["trained_seconds"] for each in facts) / (slots * (end - start)))
