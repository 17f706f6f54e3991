"""What a simulated search came to: how long it took, what it cost, and what slots stood idle."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.trial import TrialState

from search import lineage
from search.simulation import SimulatedWorkers
from search.standing import Standing
from search.terms import Ending, Terms


@dataclass(frozen=True)
class Forecast:
    """What a simulated search came to.

    Attributes:
        study: Its name.
        ending: How it ended: `done`, or `failed`.
        reason: Why, in one line.
        slots: Trials at a time.
        trials: Begun, without those that went on from another one.
        counts: All trials by state.
        epochs: Trained.
        best_value: Of the best trial at full budget.
        best_params: Of the same.
        idle_share: Of all slots' time until the last trial of the budget was begun, the share in
            which a slot neither started a trial nor trained one.
        starting_share: Of the same time, the share that trials took to start.
        tail_idle_share: Of all slots' time from then to the end, when there was nothing left to
            begin, the share in which a slot stood idle.
        tail_hours: From then to the end.
        virtual_hours: From the beginning to the end.
        device_hours: That trials held their devices.
        cost: Of these, where there is a price.
        rented_device_hours: Of all slots' devices from the beginning to the end, idle or not.
        rented_cost: Of these, where there is a price.
        wall_seconds: That the simulation took.
    """

    study: str
    ending: str
    reason: str
    slots: int
    trials: int
    counts: dict[str, int]
    epochs: int
    best_value: float | None
    best_params: dict[str, Any] | None
    idle_share: float
    starting_share: float
    tail_idle_share: float
    tail_hours: float
    virtual_hours: float
    device_hours: float
    cost: float | None
    rented_device_hours: float
    rented_cost: float | None
    wall_seconds: float


def build_forecast(
    study: optuna.Study,
    terms: Terms,
    workers: SimulatedWorkers,
    standing: Standing,
    ending: Ending,
    wall_seconds: float,
) -> Forecast:
    """Adds up a simulated search that has ended."""
    trials = study.get_trials(deepcopy=False)
    states = Counter(trial.state for trial in trials)
    number, best_value = standing.best or (None, None)
    spent, end, last = standing.spent, workers.clock(), _last_begun(study, workers)
    rented = replace(spent, device_seconds=end * workers.slots * terms.devices_per_trial)
    return Forecast(
        study=study.study_name,
        ending=ending.kind,
        reason=ending.reason,
        slots=workers.slots,
        trials=spent.trials,
        counts={state.name: states[state] for state in TrialState},
        epochs=spent.epochs,
        best_value=best_value,
        best_params=None if number is None else trials[number].params,
        idle_share=workers.occupancy.idle_share(0.0, last),
        starting_share=workers.occupancy.share("starting", 0.0, last),
        tail_idle_share=workers.occupancy.idle_share(last, end),
        tail_hours=(end - last) / 3600,
        virtual_hours=end / 3600,
        device_hours=spent.device_seconds / 3600,
        cost=terms.budget.cost(spent),
        rented_device_hours=rented.device_seconds / 3600,
        rented_cost=terms.budget.cost(rented),
        wall_seconds=wall_seconds,
    )


def _last_begun(study: optuna.Study, workers: SimulatedWorkers) -> float:
    """When the last trial of the budget was begun; one that only goes on does not count."""
    anew = (t for t in study.get_trials(deepcopy=False) if not lineage.is_continuation(t))
    return max((workers.begun.get(trial.number, 0.0) for trial in anew), default=0.0)
