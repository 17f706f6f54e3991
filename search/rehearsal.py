"""A search tried out on simulated workers, to see how long its trials are before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from search.config import Config
from search.enqueued_plans import nth_seed
from search.pruners import expected_epochs
from search.simulate import Assumptions, simulate

_SEARCHES = 3
_MOST_TRIALS = 30
"""Of one simulated search: with more of them a person would wait for seconds."""


@dataclass(frozen=True)
class Rehearsal:
    """What some short simulated searches came to.

    Attributes:
        trials: Of each search.
        epochs_each: Epochs that a trial trained on average, promotions included, by search.
        full_epochs: Of a trial that nothing stops.
    """

    trials: int
    epochs_each: Sequence[float]
    full_epochs: int

    def to_json(self) -> dict[str, Any]:
        """As `check --json` prints it."""
        return {
            "searches": len(self.epochs_each),
            "trials": self.trials,
            "epochs_of_a_trial": [round(each, 2) for each in self.epochs_each],
            "mean_epochs_of_a_trial": round(fmean(self.epochs_each), 2),
            "full_epochs": self.full_epochs,
        }


def rehearse(config: Config, epoch_seconds: float, slots: int) -> Rehearsal | None:
    """Runs a search, or the beginning of a long one, on made-up learning curves.

    Another seed is another task. What promotions add depends on the curves, so that no formula
    knows it.

    Args:
        config: Of the search.
        epoch_seconds: Of a typical network.
        slots: Trials at a time.

    Returns:
        None where nothing stops a trial before its curve is seen, or where there is no limit to
        their number.
    """
    trials, full = config.most_trials(), config.study.epochs_per_trial
    is_cut = expected_epochs(config.study.pruner, epochs=full) < full
    if not is_cut or not trials or epoch_seconds <= 0:
        return None
    few = min(trials, _MOST_TRIALS)
    # As many trials to a slot as in the search itself: what is promoted depends on it.
    assumed = Assumptions(max(1, round(min(slots, trials) * few / trials)), epoch_seconds)
    seeds = [nth_seed(config.study.seed, number) for number in range(_SEARCHES)]
    forecasts = [simulate(_shortened(config, few, seed), assumed) for seed in seeds]
    return Rehearsal(few, [each.epochs / max(1, each.trials) for each in forecasts], full)


def _shortened(config: Config, trials: int, seed: int) -> Config:
    """The search with a budget of trials alone, and with a sampler that does not take long."""
    # A Gaussian process takes seconds for a trial.
    sampler = "random" if config.study.sampler == "gp" else config.study.sampler
    budget = dict.fromkeys(type(config.budget).model_fields) | {"trials": trials}
    return config.model_copy(
        update={
            "study": config.study.model_copy(update={"seed": seed, "sampler": sampler}),
            "budget": config.budget.model_copy(update=budget),
        }
    )
