"""What a search would take and cost, from the time of one epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from search.config import Config
from search.pruners import expected_epochs


def estimate_hours(config: Config, epoch_seconds: float, slots: int) -> dict[str, float]:
    """Expected hours of search, repeats and final training, and the most of the search.

    Args:
        config: Of the search.
        epoch_seconds: Of a network from the middle of the space.
        slots: Trials at a time.
    """
    study, budget = config.study, config.budget
    each = expected_epochs(study.pruner, epochs=study.epochs_per_trial)
    limits = [budget.epochs] if budget.epochs else []
    expected = [*limits, *([budget.trials * each] if budget.trials else [])]
    most = [*limits, *([budget.trials * study.epochs_per_trial] if budget.trials else [])]
    bounds = _bounds(config, slots)
    # Alone it has all cores, but no more GPUs than a trial of the search.
    alone = 1 if config.workers.gpus_per_trial else slots
    final = config.final.epochs * epoch_seconds / alone if config.final else 0.0
    # They fill the slots in waves, as none of them is pruned.
    waves = math.ceil(count_repeats(config) / slots)
    return {
        "search_expected": _least(expected, epoch_seconds / slots, bounds),
        "search_at_most": _least(most, epoch_seconds / slots, bounds),
        "finalists": round(waves * study.epochs_per_trial * epoch_seconds / 3600, 3),
        "final": round(final / 3600, 3),
    }


def count_repeats(config: Config) -> int:
    """Repeats of all finalists together, where as many trials as that finish."""
    finalists = config.finalists
    count = min(finalists.count, config.budget.trials or finalists.count)
    return count * finalists.seeds * finalists.folds if count > 1 else 0


def _bounds(config: Config, slots: int) -> list[float]:
    """Hours after which a budget of time or money is spent where every slot is in use."""
    budget = config.budget
    device_hours = [budget.device_hours]
    if budget.money and budget.price_per_device_hour:
        device_hours.append(budget.money / budget.price_per_device_hour)
    devices = slots * (config.workers.gpus_per_trial or 1.0)
    hours = [budget.hours, *(each and each / devices for each in device_hours)]
    return [each for each in hours if each]


def _least(epochs: Sequence[float], seconds: float, bounds: Sequence[float]) -> float:
    """Hours until the first limit is reached; a config has at least one."""
    return round(min([*(each * seconds / 3600 for each in epochs), *bounds]), 3)


def estimate_cost(config: Config, trial_hours: float) -> dict[str, float | None]:
    """Device hours and money of the search alone, as its budget counts them.

    Args:
        config: Of the search.
        trial_hours: Hours of all its trials together.
    """
    device_hours = trial_hours * (config.workers.gpus_per_trial or 1.0)
    price = config.budget.price_per_device_hour
    return {
        "device_hours": round(device_hours, 3),
        "money": None if price is None else round(device_hours * price, 2),
    }
