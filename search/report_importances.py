"""How much each dimension decides, and from how many runs on that can be told."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress

import optuna
from optuna.trial import TrialState

LEAST_FOR_IMPORTANCES = 4
"""Runs that were trained to their end: fewer are not measured at all."""
FEW_FOR_IMPORTANCES = 10
"""Fewer of them are measured, and the numbers are mostly noise."""


def measure_importances(study: optuna.Study) -> dict[str, float]:
    """By Optuna; none where too few runs were trained to their end, or all are alike."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(done) < LEAST_FOR_IMPORTANCES or len({trial.values[0] for trial in done}) < 2:
        return {}
    with warnings.catch_warnings(), suppress(ValueError, RuntimeError):
        warnings.simplefilter("ignore")
        found: Mapping[str, float] = optuna.importance.get_param_importances(
            study, target=lambda trial: trial.values[0]
        )
        return dict(found)
    return {}
