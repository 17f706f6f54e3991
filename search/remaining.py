"""What a search still takes and costs, at the pace that it has shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from search.budget import Budget
from search.standing import Standing

_PRIOR_TRIALS = 4


@dataclass(frozen=True)
class Pace:
    """What an epoch of this run has taken so far.

    Attributes:
        seconds: Since the run began.
        epochs: Trained since then.
    """

    seconds: float
    epochs: int


@dataclass(frozen=True)
class Remaining:
    """What is to come until the first limit of the budget is reached.

    Attributes:
        seconds: Of time.
        device_seconds: That trials will hold their devices; None before any did.
        money: For these, where there is a price.
    """

    seconds: float
    device_seconds: float | None
    money: float | None

    def describe(self) -> str:
        """In words: device hours and money, which the time left does not say."""
        if self.device_seconds is None:
            return ""
        money = "" if self.money is None else f" for {self.money:.2f}"
        return f"{self.device_seconds / 3600:.2f} device hours{money}"


def estimate_remaining(standing: Standing, budget: Budget, pace: Pace) -> Remaining | None:
    """What is to come; None while nothing is known of it.

    Args:
        standing: Of the search.
        budget: Its limits.
        pace: Of this run.
    """
    limits = [*_time_limits(standing, budget), *_epoch_limits(standing, budget, pace)]
    if not limits:
        return None
    seconds, spent = max(0.0, min(limits)), standing.spent
    if spent.seconds <= 0 or spent.device_seconds <= 0:
        return Remaining(seconds, None, None)
    device_seconds = seconds * spent.device_seconds / spent.seconds
    price = budget.price_per_device_hour
    money = None if price is None else device_seconds / 3600 * price
    return Remaining(seconds, device_seconds, money)


def _time_limits(standing: Standing, budget: Budget) -> Iterator[float]:
    """Seconds until hours, device hours or money are spent, at the pace of this whole search."""
    spent = standing.spent
    if budget.hours is not None:
        yield budget.hours * 3600 - spent.seconds
    if spent.device_seconds <= 0:
        return
    pace = spent.seconds / spent.device_seconds
    if budget.device_hours is not None:
        yield pace * (budget.device_hours * 3600 - spent.device_seconds)
    if budget.money is not None and budget.price_per_device_hour is not None:
        seconds = budget.money / budget.price_per_device_hour * 3600
        yield pace * (seconds - spent.device_seconds)


def _epoch_limits(standing: Standing, budget: Budget, pace: Pace) -> Iterator[float]:
    """Seconds until epochs or trials are spent, at the pace of this run."""
    if pace.epochs <= 0:
        return
    each = pace.seconds / pace.epochs
    if budget.epochs is not None:
        yield each * (budget.epochs - standing.spent.epochs)
    if budget.trials is not None:
        yield each * _epochs_left(standing, budget.trials)


def _epochs_left(standing: Standing, trials: int) -> float:
    ended = sum(standing.counts.get(name, 0) for name in ("COMPLETE", "PRUNED"))
    underway = sum(standing.running.values())
    each = standing.epochs_each
    if standing.pruned:
        # What was expected weighs as much as a few trials that have ended.
        trained = standing.spent.epochs - underway + _PRIOR_TRIALS * each
        each = trained / (ended + _PRIOR_TRIALS)
    to_come = trials - standing.spent.trials + len(standing.running)
    return max(0.0, to_come * each - underway)
