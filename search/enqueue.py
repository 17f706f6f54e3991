"""Values that a person wants to see tried next."""

from __future__ import annotations

import json
from typing import Any

import optuna

from search import lineage
from search.config import Config
from search.standing import take_stock
from trainer.errors import InputError

_EXAMPLE = """write it as '{"learning_rate": 0.001}'"""


def enqueue_params(config: Config, study: optuna.Study, text: str) -> int:
    """Adds a waiting trial, which a running search takes within seconds.

    Args:
        config: Of the study.
        study: To add to.
        text: JSON object of values under the names of dimensions.

    Returns:
        The trial's number.

    Raises:
        InputError: No JSON object, no dimension of that name, or a value outside of the space.
    """
    params = _parse(text)
    config.build_space().check(params, "params")
    study.enqueue_trial(params)
    # The search may have taken it already, so that its state tells nothing.
    alike = (
        trial.number
        for trial in study.get_trials(deepcopy=False)
        if lineage.enqueued_values(trial) == params
    )
    return max(alike)


def what_follows(config: Config, study: optuna.Study) -> str:
    """When a trial that waits will be run, in words."""
    budget, epochs = config.build_budget(), config.study.epochs_per_trial
    spent = take_stock(study, epochs=epochs, epochs_each=epochs).spent
    if ended := budget.spent_by(spent):
        return f"{ended}: raise it in [budget], and `unet-search run` takes it"
    if budget.allows_another(spent):
        return "the search takes it next, or when it is run again"
    return (
        f"all {budget.trials} trials of the budget have begun, so that `unet-search run` takes it "
        f"with --trials {spent.trials + 1} or more"
    )


def _parse(text: str) -> dict[str, Any]:
    try:
        params = json.loads(text)
    except ValueError as error:
        raise InputError(
            f"--params: expected a JSON object, got {text!r} ({error}); {_EXAMPLE}"
        ) from None
    if not isinstance(params, dict) or not params:
        raise InputError(
            f"--params: expected a JSON object with at least one value, got {text!r}; {_EXAMPLE}"
        )
    return params
