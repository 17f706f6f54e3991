"""A study as rows: what `status` and `best` print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search import lineage
from search.budget import Budget, Spent
from search.config import Config
from search.objectives import dice_of, has_two, pareto_front
from search.standing import DEVICE_SECONDS_SPENT, SECONDS_SPENT
from search.trial_log import read_log_tail
from trainer.model import CARD_FILE

_LOG_LINES = 5
WINNER = "winner"
"""Study attribute: number of the trial that the model was made from."""


def ranked(study: optuna.Study, config: Config) -> list[FrozenTrial]:
    """Trials at full budget, best first."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    epochs = config.study.epochs_per_trial
    candidates = [trial for trial in finished if lineage.is_candidate(trial, epochs)]
    return sorted(candidates, key=lambda trial: (-(dice_of(trial) or 0.0), trial.number))


def best_trials(study: optuna.Study, config: Config, top: int) -> list[FrozenTrial]:
    """Trials at full budget, best first; once named, the winner leads.

    Of a study with two objectives, those of the Pareto front: no other trial is better in one of
    them and as good in the other.
    """
    winner, trials = study.user_attrs.get(WINNER), ranked(study, config)
    if has_two(study):
        front = set(pareto_front((trial.number, trial.values) for trial in trials))
        trials = [trial for trial in trials if trial.number in front]
    return sorted(trials, key=lambda trial: trial.number != winner)[:top]


def best_rows(study: optuna.Study, config: Config, top: int) -> list[dict[str, Any]]:
    """The best trials as `best --json` prints them."""
    winner = study.user_attrs.get(WINNER)
    rows = []
    for trial in best_trials(study, config, top):
        model = model_folder(config) if trial.number == winner else None
        there = model is not None and (model / CARD_FILE).is_file()
        rows.append(
            {
                "number": trial.number,
                "value": dice_of(trial),
                "values": trial.values,
                "state": trial.state.name,
                "params": trial.params,
                "epochs": trial.last_step or 0,
                "user_attrs": trial.user_attrs,
                "model": str(model) if there else None,
            }
        )
    return rows


def status_row(study: optuna.Study, budget: Budget, logs: Path) -> dict[str, Any]:
    """The whole study as `status --json` prints it.

    Args:
        study: To read.
        budget: Of its config.
        logs: The folder of its trials' logs.
    """
    trials = study.get_trials(deepcopy=False)
    successors = {trial.user_attrs.get(lineage.RETRIED_FROM): trial.number for trial in trials}
    counts: dict[str, int] = {state.name: 0 for state in TrialState}
    for trial in trials:
        counts[trial.state.name] += 1
    return {
        "study": study.study_name,
        "counts": counts,
        "trials": [_status_of(trial, successors.get(trial.number), logs) for trial in trials],
        "budget": budget_row(study, budget, trials),
    }


def budget_row(
    study: optuna.Study, budget: Budget, trials: Sequence[FrozenTrial]
) -> dict[str, Any]:
    """What a study may cost and what it has cost, as `status --json` prints it."""
    spent = Spent(
        trials=sum(map(lineage.counts_towards_budget, trials)),
        epochs=sum(map(lineage.epochs_of_its_own, trials)),
        seconds=float(study.user_attrs.get(SECONDS_SPENT, 0.0)),
        device_seconds=float(study.user_attrs.get(DEVICE_SECONDS_SPENT, 0.0)),
    )
    cost = budget.cost(spent)
    return {
        **asdict(budget),
        "trials_begun": spent.trials,
        "epochs_trained": spent.epochs,
        "hours_spent": round(spent.seconds / 3600, 4),
        "device_hours_spent": round(spent.device_seconds / 3600, 4),
        "money_spent": None if cost is None else round(cost, 4),
    }


def model_folder(config: Config) -> Path:
    """Where `run` writes the winner's model."""
    return config.folder / "model"


def _status_of(trial: FrozenTrial, successor: int | None, logs: Path) -> dict[str, Any]:
    attributes = dict(trial.user_attrs)
    reason = attributes.pop(lineage.REASON, None)
    if successor is not None:
        reason = f"{reason}; goes on as trial {successor}"
    row = {
        "number": trial.number,
        "state": trial.state.name,
        "value": dice_of(trial),
        "epochs": trial.last_step or 0,
        "params": trial.params,
        "reports": [
            trial.intermediate_values[epoch] for epoch in sorted(trial.intermediate_values)
        ],
        "reason": reason,
        "user_attrs": attributes,
    }
    if trial.state is TrialState.FAIL and successor is None:
        row["log"] = read_log_tail(logs, trial.number, lines=_LOG_LINES)
    return row
