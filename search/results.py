"""A study as rows: what `status` and `best` print."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search import lineage
from search.budget import Budget, Spent
from search.config import Config
from search.objectives import dice_of, has_two, pareto_front
from search.sibling import sibling_row
from search.standing import DEVICE_SECONDS_SPENT, SECONDS_SPENT
from search.trial_log import read_log_tail
from storage.checkpoints import CheckpointStore
from trainer.errors import InputError
from trainer.model import CARD_FILE, load_card

_LOG_LINES = 5
_OF_MODEL = ("threshold", "postprocessing", "validation")
"""What `best` tells of a model as its card has it: the search knows only of a trial's own."""
WINNER = "winner"
"""Study attribute: number of the trial that the model was made from."""
FINALISTS = "finalists"
"""Study attribute: the trials that were repeated, the winner first, with scores and spread."""


def ranked(study: optuna.Study, config: Config) -> list[FrozenTrial]:
    """Trials at full budget, best first."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    epochs = config.study.epochs_per_trial
    candidates = [trial for trial in finished if lineage.is_candidate(trial, epochs)]
    return sorted(candidates, key=lambda trial: (-(dice_of(trial) or 0.0), trial.number))


def best_trials(study: optuna.Study, config: Config, top: int | None = None) -> list[FrozenTrial]:
    """Trials at full budget, best first; once named, the winner leads.

    Of a study with two objectives, the winner and those of the Pareto front: no other trial is
    better in one of them and as good in the other.
    """
    winner, trials = study.user_attrs.get(WINNER), ranked(study, config)
    if has_two(study):
        front = pareto_front((trial.number, trial.values) for trial in trials)
        trials = [trial for trial in trials if trial.number in {*front, winner}]
    return sorted(trials, key=lambda trial: trial.number != winner)[:top]


def best_rows(study: optuna.Study, config: Config, top: int) -> list[dict[str, Any]]:
    """The best trials as `best --json` prints them."""
    winner = study.user_attrs.get(WINNER)
    repeats = {each["number"]: each for each in study.user_attrs.get(FINALISTS, [])}
    listed = best_trials(study, config)
    return [
        {
            "number": trial.number,
            "value": dice_of(trial),
            "values": trial.values,
            "state": trial.state.name,
            "params": trial.params,
            "epochs": trial.last_step or 0,
            "user_attrs": trial.user_attrs,
            **_model_of(model_folder(config) if trial.number == winner else None),
            "repeats": _repeats_of(repeats.get(trial.number)),
            # How many there are of the Pareto front and the winner, be they shown or not.
            "front": len(listed) if has_two(study) else None,
        }
        for trial in listed[:top]
    ]


def status_row(
    study: optuna.Study,
    budget: Budget,
    logs: Path,
    checkpoints: Path | None = None,
    *,
    holder: str | None = None,
    beside: optuna.Study | None = None,
) -> dict[str, Any]:
    """The whole study as `status --json` prints it.

    Args:
        study: To read.
        budget: Of its config.
        logs: The folder of its trials' logs.
        checkpoints: The folder of its trials' checkpoints: what was paused goes on from there.
        holder: The process that runs the study at the moment.
        beside: The study of its finalists, where there is one.
    """
    kept = CheckpointStore(checkpoints).trials() if checkpoints else []
    trials = study.get_trials(deepcopy=False)
    successors = {lineage.forerunner(trial): trial for trial in trials}
    counts: dict[str, int] = {state.name: 0 for state in TrialState}
    for trial in trials:
        counts[trial.state.name] += 1
    return {
        "study": study.study_name,
        "run_by": holder,
        "counts": counts,
        "trials": [
            _status_of(trial, _what_follows(trial, successors.get(trial.number), kept), logs)
            for trial in trials
        ],
        "budget": budget_row(study, budget, trials),
        "finalists": None if beside is None else _row_of_sibling(beside, budget),
    }


def _row_of_sibling(beside: optuna.Study, budget: Budget) -> dict[str, Any]:
    return sibling_row(beside, budget_row(beside, budget, beside.get_trials(deepcopy=False)))


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


def describe_repeats(repeats: Mapping[str, Any]) -> str:
    """Mean and spread of a finalist's repeats, in words."""
    if repeats["mean"] is None:
        return "not repeated"
    spread = "" if repeats["std"] is None else f" ± {repeats['std']:.4f}"
    n = repeats["n"]
    return f"{repeats['mean']:.4f}{spread} over {n} repeat{'s' * (n != 1)}"


def model_folder(config: Config) -> Path:
    """Where `run` writes the winner's model."""
    return config.folder / "model"


def _model_of(folder: Path | None) -> dict[str, Any]:
    """Where the model is, and what its card says of it: a trial without one has none of it."""
    told: dict[str, Any] = dict.fromkeys(("model", *_OF_MODEL))
    if folder is None or not (folder / CARD_FILE).is_file():
        return told
    # Whoever uses the model is told what is wrong with its card.
    with suppress(InputError):
        card = load_card(folder)
        told |= {key: card.get(key) for key in _OF_MODEL}
    return {**told, "model": str(folder)}


def _repeats_of(finalist: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if finalist is None:
        return None
    return {key: finalist[key] for key in ("mean", "std", "n", "scores")}


def _what_follows(
    trial: FrozenTrial, successor: FrozenTrial | None, kept: Container[int]
) -> str | None:
    if successor is not None:
        promoted = lineage.PROMOTED_FROM in successor.user_attrs
        return f"{'promoted' if promoted else 'goes on'} as trial {successor.number}"
    paused = trial.state is TrialState.PRUNED and lineage.PAUSED in trial.user_attrs
    return "may be promoted" if paused and trial.number in kept else None


def _status_of(trial: FrozenTrial, follows: str | None, logs: Path) -> dict[str, Any]:
    attributes = dict(trial.user_attrs)
    reason = attributes.pop(lineage.REASON, None)
    if follows is not None:
        reason = f"{reason}; {follows}"
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
    if trial.state is TrialState.FAIL and follows is None:
        row["log"] = read_log_tail(logs, trial.number, lines=_LOG_LINES)
    return row
