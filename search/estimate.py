"""What a search would take and cost, from the time of one epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from search.config import Config
from search.final_length import count_waves, fit_epochs
from search.grid import Grid, grid_values
from search.plan import ONE_AT_A_TIME
from search.pruners import expected_epochs
from trainer.conditions import matters


@dataclass(frozen=True)
class Expense:
    """What a part of a run takes.

    Attributes:
        hours: That pass.
        trial_hours: Hours of all its trials together, each on the devices of one.
    """

    hours: float
    trial_hours: float

    def __add__(self, other: Expense) -> Expense:
        """Both, one after the other."""
        return Expense(self.hours + other.hours, self.trial_hours + other.trial_hours)


def estimate_hours(
    config: Config,
    epoch_seconds: float,
    slots: int,
    *,
    slots_of_a_node: int | None = None,
    longest_seconds: float = 0.0,
    epochs_each: Sequence[float] = (),
) -> dict[str, float]:
    """Hours of search, repeats and final training: what is expected, and the most of the search.

    The final training's are those on cores that make it no faster; `final_at_least` is what it
    takes where twice the cores take half the time.

    Args:
        config: Of the search.
        epoch_seconds: Of a typical network.
        slots: Trials at a time.
        slots_of_a_node: Of them, on the largest node; all by default.
        longest_seconds: Of an epoch, of any network of the space; by default the typical one's.
        epochs_each: Epochs of a trial on average, as several guesses have it; by default what the
            pruner's rungs say, promotions not included.
    """
    low, expected, high = _expected_searches(config, epoch_seconds, slots, epochs_each)
    longest = max(epoch_seconds, longest_seconds)
    most = _search(config, longest, slots, config.study.epochs_per_trial)
    fast, slow = _final(config, epoch_seconds, slots, slots_of_a_node)
    hours = {
        "search_expected": expected.hours,
        "search_expected_low": low.hours,
        "search_expected_high": high.hours,
        "search_at_most": most.hours,
        "finalists": _finalists(config, epoch_seconds, slots).hours,
        "final": slow.hours,
        "final_at_least": fast.hours,
    }
    return {name: round(each, 3) for name, each in hours.items()}


def estimate_parts(
    config: Config,
    epoch_seconds: float,
    slots: int,
    *,
    slots_of_a_node: int | None = None,
    epochs_each: Sequence[float] = (),
) -> dict[str, dict[str, Any]]:
    """What each part of a run would take and cost, and all of them together.

    Args:
        config: Of the search.
        epoch_seconds: Of a typical network.
        slots: Trials at a time.
        slots_of_a_node: Of them, on the largest node; all by default.
        epochs_each: As of `estimate_hours`.

    Returns:
        For `search`, `finalists`, `final` and `in_all` the hours, device hours and money, each the
        least and the most of what is expected; no money where no price is known.
    """
    low, _, high = _expected_searches(config, epoch_seconds, slots, epochs_each)
    repeats = _finalists(config, epoch_seconds, slots)
    fast, slow = _final(config, epoch_seconds, slots, slots_of_a_node)
    parts = {
        "search": (low, high),
        "finalists": (repeats, repeats),
        "final": (fast, slow),
        "in_all": (low + repeats + fast, high + repeats + slow),
    }
    return {name: _range(config, *ends) for name, ends in parts.items()}


def _range(config: Config, least: Expense, most: Expense) -> dict[str, Any]:
    low, high = _row(config, least), _row(config, most)
    return {
        name: None if low[name] is None else [low[name], high[name]]
        for name in ("hours", "device_hours", "money")
    }


def _row(config: Config, expense: Expense) -> dict[str, float | None]:
    hours: float | None = round(expense.hours, 3)
    return {"hours": hours, **estimate_cost(config, expense.trial_hours)}


def _expected_searches(
    config: Config, epoch_seconds: float, slots: int, epochs_each: Sequence[float]
) -> tuple[Expense, Expense, Expense]:
    """The search by the least, the mean and the most epochs that its trials are guessed to have."""
    study = config.study
    each = epochs_each or [expected_epochs(study.pruner, epochs=study.epochs_per_trial)]
    low, mean, high = (
        _search(config, epoch_seconds, slots, epochs)
        for epochs in (min(each), fmean(each), max(each))
    )
    return low, mean, high


def _search(config: Config, epoch_seconds: float, slots: int, each: float) -> Expense:
    """The search where its trials have so many epochs on average: the first limit ends it."""
    limits = [
        *_work_limits(config, epoch_seconds / 3600, slots, each),
        *_time_limits(config, slots_in_use(config, slots)),
    ]
    return Expense(min(limit.hours for limit in limits), min(limit.trial_hours for limit in limits))


def _work_limits(config: Config, hours: float, slots: int, each: float) -> Iterator[Expense]:
    """Trials and epochs of the budget, where an epoch takes so many hours."""
    trials, epochs = config.most_trials(), config.budget.epochs
    if trials:
        yield Expense(_passing(config, trials, slots, each) * hours, trials * each * hours)
    if epochs:
        # They end every trial, however far it is: by themselves they ask for no whole one.
        passing = math.ceil(epochs / slots_in_use(config, slots))
        yield Expense(passing * hours, epochs * hours)


def _passing(config: Config, trials: int, slots: int, each: float) -> float:
    """Epochs that pass while so many trials are run."""
    whole = config.study.epochs_per_trial
    if each >= whole:
        # None is stopped, so they fill the slots in waves, of which the last may be a single one.
        return math.ceil(trials / slots) * whole
    # One that nothing stops has all of its epochs, however many slots there are.
    return max(whole, trials * each / slots)


def slots_in_use(config: Config, slots: int) -> int:
    """Slots that a search has trials for."""
    return min(slots, config.most_trials() or slots)


def _time_limits(config: Config, used: int) -> Iterator[Expense]:
    """Budgets of time and money, where so many slots are in use."""
    budget, devices = config.budget, _devices(config)
    if budget.hours:
        yield Expense(budget.hours, budget.hours * used)
    device_hours = [budget.device_hours or math.inf]
    if budget.money and budget.price_per_device_hour:
        device_hours.append(budget.money / budget.price_per_device_hour)
    trial_hours = min(device_hours) / devices
    if trial_hours < math.inf:
        yield Expense(trial_hours / used, trial_hours)


def _devices(config: Config) -> float:
    """What a trial is charged for: its share of a GPU, or one worker's cores."""
    return config.workers.gpus_per_trial or 1.0


def _finalists(config: Config, epoch_seconds: float, slots: int) -> Expense:
    """They fill the slots in waves, as none of them is pruned."""
    repeats, each = count_repeats(config), config.study.epochs_per_trial * epoch_seconds / 3600
    return Expense(math.ceil(repeats / slots) * each, repeats * each)


def _final(
    config: Config, epoch_seconds: float, slots: int, slots_of_a_node: int | None
) -> tuple[Expense, Expense]:
    """The final training where more cores make it as much faster, and where they do not at all."""
    if config.final is None:
        return Expense(0.0, 0.0), Expense(0.0, 0.0)
    seeds, waves = config.final.seeds, count_waves(config.final, slots)
    # They share all cores of a node, but have no more GPUs than trials of the search.
    shared = 1 if config.workers.gpus_per_trial else slots_of_a_node or slots
    share = max(1, shared // seeds)
    each = fit_epochs(config.final, epoch_seconds, waves) * epoch_seconds / 3600
    fast = Expense(waves * each / share, seeds * each)
    # Whether it makes use of them or not, it holds the cores of so many trials.
    return fast, Expense(waves * each, seeds * each * share)


def count_repeats(config: Config) -> int:
    """Repeats of all finalists together, where as many trials as that finish."""
    finalists = config.finalists
    count = min(finalists.count, config.budget.trials or finalists.count)
    return count * finalists.seeds * finalists.folds if count > 1 else 0


def estimate_cost(config: Config, trial_hours: float) -> dict[str, float | None]:
    """Device hours and money of the search alone, as its budget counts them.

    Args:
        config: Of the search.
        trial_hours: Hours of all its trials together.
    """
    device_hours = trial_hours * _devices(config)
    price = config.budget.price_per_device_hour
    return {
        "device_hours": round(device_hours, 3),
        "money": None if price is None else round(device_hours * price, 2),
    }


def estimate_price(
    config: Config, epoch_seconds: float, slots: int, *, epochs_each: Sequence[float] = ()
) -> dict[str, dict[str, Any]]:
    """What this search would take and cost beside the ways that try everything to its end.

    Args:
        config: Of the search.
        epoch_seconds: Of a typical network.
        slots: Trials at a time.
        epochs_each: As of `estimate_hours`.

    Returns:
        For `search`, `grid` and `one_at_a_time` the trials, hours, device hours and money.
    """
    _, search, _ = _expected_searches(config, epoch_seconds, slots, epochs_each)
    rows = {"search": {"trials": config.most_trials(), **_row(config, search)}}
    full, hours = config.study.epochs_per_trial, epoch_seconds / 3600
    for name, trials in (("grid", grid_size(config)), ("one_at_a_time", changes_size(config))):
        passing = _passing(config, trials, slots, full)
        expense = Expense(passing * hours, trials * full * hours)
        rows[name] = {"trials": trials, **_row(config, expense)}
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
