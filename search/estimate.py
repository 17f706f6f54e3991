"""What a search would take and cost, from the time of one epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from search.config import Config
from search.final_length import count_waves, fit_epochs
from search.grid import Grid, grid_values
from search.plan import ONE_AT_A_TIME
from search.pruners import expected_epochs
from trainer.conditions import matters


def estimate_hours(
    config: Config, epoch_seconds: float, slots: int, *, slots_of_a_node: int | None = None
) -> dict[str, float]:
    """Expected hours of search, repeats and final training, and the most of the search.

    Args:
        config: Of the search.
        epoch_seconds: Of a network from the middle of the space.
        slots: Trials at a time.
        slots_of_a_node: Of them, on the largest node; all by default.
    """
    study, budget, trials = config.study, config.budget, config.most_trials()
    each = expected_epochs(study.pruner, epochs=study.epochs_per_trial)
    limits = [budget.epochs] if budget.epochs else []
    expected = [*limits, *([trials * each] if trials else [])]
    # In whole trials: the last of them may have all slots but one for themselves.
    waves_of_all = math.ceil(trials / slots) * slots if trials else 0
    most = [*limits, *([waves_of_all * study.epochs_per_trial] if trials else [])]
    bounds = _bounds(config, slots)
    # They fill the slots in waves, as none of them is pruned.
    waves = math.ceil(count_repeats(config) / slots)
    return {
        "search_expected": _least(expected, epoch_seconds / slots, bounds),
        "search_at_most": _least(most, epoch_seconds / slots, bounds),
        "finalists": round(waves * study.epochs_per_trial * epoch_seconds / 3600, 3),
        "final": _final_hours(config, epoch_seconds, slots, slots_of_a_node),
    }


def _final_hours(
    config: Config, epoch_seconds: float, slots: int, slots_of_a_node: int | None
) -> float:
    if config.final is None:
        return 0.0
    # They share all cores of a node, but have no more GPUs than trials of the search.
    shared = 1 if config.workers.gpus_per_trial else slots_of_a_node or slots
    waves = count_waves(config.final, slots)
    epochs = waves * fit_epochs(config.final, epoch_seconds, waves)
    return round(epochs * epoch_seconds / max(1, shared // config.final.seeds) / 3600, 3)


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


def estimate_price(config: Config, epoch_seconds: float, slots: int) -> dict[str, dict[str, Any]]:
    """What this search would take and cost beside the ways that try everything to its end.

    Args:
        config: Of the search.
        epoch_seconds: Of a network from the middle of the space.
        slots: Trials at a time.

    Returns:
        For `search`, `grid` and `one_at_a_time` the trials, hours, device hours and money.
    """
    hours = estimate_hours(config, epoch_seconds, slots)["search_expected"]
    search = {"trials": config.most_trials(), "hours": hours}
    rows = {"search": {**search, **estimate_cost(config, hours * slots)}}
    for name, trials in (("grid", grid_size(config)), ("one_at_a_time", changes_size(config))):
        trial_hours = trials * config.study.epochs_per_trial * epoch_seconds / 3600
        rows[name] = {
            "trials": trials,
            "hours": round(trial_hours / slots, 3),
            **estimate_cost(config, trial_hours),
        }
    return rows


def grid_size(config: Config) -> int:
    """Combinations in a full grid over the space of a search."""
    return Grid(config.build_space()).size


def changes_size(config: Config) -> int:
    """Runs of a baseline and its changes, one at a time, over the space of a search."""
    if config.change or config.study.sampler == ONE_AT_A_TIME:
        return config.build_changes().size
    space = config.build_space()
    baseline = space.middle().to_mapping()
    varied = (each for each in space.dimensions if matters(each.name, baseline))
    return 1 + sum(len(grid_values(each)) - 1 for each in varied)
