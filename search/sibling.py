"""The study beside a search, with the repeats of its finalists and its final training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search import lineage
from search.enqueued_plans import RETIRED


def sibling_row(beside: optuna.Study, spent: Mapping[str, Any]) -> dict[str, Any]:
    """How it stands, as `status --json` prints it.

    Args:
        beside: The study.
        spent: What it has cost, as `status --json` prints it of a study.
    """
    trials = [trial for trial in beside.get_trials(deepcopy=False) if _stands_for_itself(trial)]
    return {
        "study": beside.study_name,
        "repeats": _count(trial for trial in trials if _is_repeat(trial)),
        "final": _count(trial for trial in trials if not _is_repeat(trial)),
        "running": [_progress(trial) for trial in trials if trial.state is TrialState.RUNNING],
        "device_hours_spent": spent["device_hours_spent"],
        "money_spent": spent["money_spent"],
    }


def describe_sibling(row: Mapping[str, Any]) -> str:
    """One line for people, of the row for programs."""
    parts = [
        f"{what} {', '.join(f'{count} {state}' for state, count in row[key].items())}"
        for key, what in (("repeats", "repeats"), ("final", "final training"))
        if row[key]
    ]
    running = (f"trial {each['number']} after epoch {each['epochs']}" for each in row["running"])
    if told := ", ".join(running):
        parts.append(f"running {told}")
    money = "" if row["money_spent"] is None else f" for {row['money_spent']:.2f} money"
    parts.append(f"{row['device_hours_spent']:.2f} device hours{money}")
    return f"{row['study']}: {'; '.join(parts)}"


def _stands_for_itself(trial: FrozenTrial) -> bool:
    """Whether it is no trial that another one goes on from, or that had to make room for others."""
    retired = trial.user_attrs.get(lineage.REASON) == RETIRED
    return not retired and not trial.user_attrs.get(lineage.GOES_ON)


def _is_repeat(trial: FrozenTrial) -> bool:
    return lineage.FINALIST in trial.user_attrs


def _count(trials: Iterable[FrozenTrial]) -> dict[str, int]:
    return dict(sorted(Counter(trial.state.name for trial in trials).items()))


def _progress(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "finalist": trial.user_attrs.get(lineage.FINALIST),
        "epochs": trial.last_step or 0,
    }
