"""A trial that is about to be added, as the database would give it back."""

import json
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from storage.tables import check_key, check_step, local_time, stored_time

_NOT_YET = -1


def build_trial(template: FrozenTrial | None) -> FrozenTrial:
    """Builds a RUNNING trial, or what a template describes, without id and number.

    Raises:
        ValueError: The template has a name or a step that cannot be stored.
    """
    if template is None:
        return _build(state=TrialState.RUNNING, datetime_start=datetime.now())
    for key in (*template.params, *template.user_attrs, *template.system_attrs):
        check_key(key)
    for step in template.intermediate_values:
        check_step(step)
    distributions = dict(template.distributions)
    params = {
        name: distributions[name].to_external_repr(distributions[name].to_internal_repr(value))
        for name, value in template.params.items()
    }
    reports = {int(step): float(value) for step, value in template.intermediate_values.items()}
    return _build(
        state=template.state,
        values=None if template.values is None else [float(value) for value in template.values],
        datetime_start=local_time(stored_time(template.datetime_start)),
        datetime_complete=local_time(stored_time(template.datetime_complete)),
        params=params,
        distributions={name: distributions[name] for name in params},
        user_attrs=json.loads(json.dumps(template.user_attrs)),
        system_attrs=json.loads(json.dumps(template.system_attrs)),
        intermediate_values=reports,
    )


def _build(**given: Any) -> FrozenTrial:
    nothing: dict[str, Any] = {
        "value": None,
        "values": None,
        "datetime_complete": None,
        "params": {},
        "distributions": {},
        "user_attrs": {},
        "system_attrs": {},
        "intermediate_values": {},
    }
    return FrozenTrial(number=_NOT_YET, trial_id=_NOT_YET, **(nothing | given))
