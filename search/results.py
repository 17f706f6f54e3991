"""A study as rows: what `status` and `best` print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search import lineage
from search.budget import Budget
from search.config import Config
from search.standing import SECONDS_SPENT
from trainer.model import CARD_FILE

WINNER = "winner"
"""Study attribute: number of the trial that the model was made from."""


def ranked(study: optuna.Study, config: Config) -> list[FrozenTrial]:
    """Trials at full budget, best first."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    epochs = config.study.epochs_per_trial
    candidates = [trial for trial in finished if lineage.is_candidate(trial, epochs)]
    return sorted(candidates, key=lambda trial: (-(trial.value or 0.0), trial.number))


def best_trials(study: optuna.Study, config: Config, top: int) -> list[FrozenTrial]:
    """Trials at full budget, best first; once named, the winner leads."""
    winner = study.user_attrs.get(WINNER)
    return sorted(ranked(study, config), key=lambda trial: trial.number != winner)[:top]


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
                "value": trial.value,
                "state": trial.state.name,
                "params": trial.params,
                "epochs": trial.last_step or 0,
                "user_attrs": trial.user_attrs,
                "model": str(model) if there else None,
            }
        )
    return rows


def status_row(study: optuna.Study, budget: Budget) -> dict[str, Any]:
    """The whole study as `status --json` prints it."""
    trials = study.get_trials(deepcopy=False)
    successors = {trial.user_attrs.get(lineage.RETRIED_FROM): trial.number for trial in trials}
    counts: dict[str, int] = {state.name: 0 for state in TrialState}
    for trial in trials:
        counts[trial.state.name] += 1
    return {
        "study": study.study_name,
        "counts": counts,
        "trials": [_status_of(trial, successors.get(trial.number)) for trial in trials],
        "budget": {
            "trials": budget.trials,
            "epochs": budget.epochs,
            "hours": budget.hours,
            "trials_begun": sum(map(lineage.counts_towards_budget, trials)),
            "epochs_trained": sum(map(lineage.epochs_of_its_own, trials)),
            "hours_spent": round(float(study.user_attrs.get(SECONDS_SPENT, 0.0)) / 3600, 4),
        },
    }


def model_folder(config: Config) -> Path:
    """Where `run` writes the winner's model."""
    return config.folder / "model"


def _status_of(trial: FrozenTrial, successor: int | None) -> dict[str, Any]:
    attributes = dict(trial.user_attrs)
    reason = attributes.pop(lineage.REASON, None)
    if successor is not None:
        reason = f"{reason}; goes on as trial {successor}"
    return {
        "number": trial.number,
        "state": trial.state.name,
        "value": trial.value,
        "epochs": trial.last_step or 0,
        "params": trial.params,
        "reason": reason,
        "user_attrs": attributes,
    }
