"""Trials that no sampler is asked for: each has a plan, and is run to its end once."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search import lineage
from search.budget import Budget
from search.study import describe_identity

_SEEDS = 2**32
RETIRED = "another training has taken its place"
"""Reason of a trial that was ended before it began, for others to be run."""


def describe_plan(search: optuna.Study, trial: FrozenTrial, **terms: Any) -> str:
    """What tells one plan from another, also from those of a study that was since deleted.

    Args:
        search: The study that the trial is of.
        trial: Whose parameters it has.
        terms: What else it is run under.
    """
    plan = {
        "trial": trial.number,
        "params": trial.params,
        # Everywhere the same: a study is read in other time zones than it was made in.
        "begun": str(trial.datetime_start and trial.datetime_start.astimezone(UTC)),
        "study": describe_identity(search),
    }
    return json.dumps(plan | terms)


def planned(study: optuna.Study, plan: str, *states: TrialState) -> list[FrozenTrial]:
    """The trials of a plan, those that another one goes on from included."""
    trials = study.get_trials(deepcopy=False, states=states or None)
    return [trial for trial in trials if trial.user_attrs.get(lineage.PLAN) == plan]


def why_unfinished(study: optuna.Study, plan: str) -> str:
    """Why a plan without a result has none."""
    ended = planned(study, plan, TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE)
    if not ended:
        return "it has not begun"
    return str(ended[-1].user_attrs.get(lineage.REASON, "it was told by somebody else"))


def nth_seed(first: int, number: int) -> int:
    """The seed that comes so many after the first, which is number 0."""
    return (first + number) % _SEEDS


def enqueue_plan(
    study: optuna.Study, plan: str, params: Mapping[str, Any], **attributes: int
) -> None:
    """Enqueues a trial of the plan, or what goes on from one that had to make room for others."""
    ended = planned(study, plan, TrialState.FAIL)
    if ended and ended[-1].user_attrs.get(lineage.REASON) == RETIRED:
        lineage.enqueue_after(study, ended[-1])
    else:
        study.enqueue_trial(dict(params), user_attrs={lineage.PLAN: plan, **attributes})


def retire_others(study: optuna.Study, plans: Collection[str]) -> None:
    """Ends every waiting trial with another plan; only an earlier winner's can still be there.

    Args:
        study: Without a RUNNING trial.
        plans: Those that are to be run now.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        if trial.user_attrs.get(lineage.PLAN) not in plans:
            study._storage.set_trial_user_attr(trial._trial_id, lineage.REASON, RETIRED)
            study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)


def waiting_budget(study: optuna.Study, price_per_device_hour: float | None) -> Budget:
    """The budget that is spent when all that waits has ended.

    Args:
        study: Whose trials wait.
        price_per_device_hour: No limit, but what they cost is shown by it.
    """
    counted = sum(map(lineage.counts_towards_budget, study.get_trials(deepcopy=False)))
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return Budget(
        trials=counted + sum(not lineage.is_continuation(trial) for trial in waiting),
        price_per_device_hour=price_per_device_hour,
    )
