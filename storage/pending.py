"""What was changed in the trials of a study and is not in its database yet."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import FrozenTrial
from sqlalchemy import Table

from storage.tables import (
    PARAMS,
    REPORTS,
    SYSTEM_ATTRIBUTES,
    USER_ATTRIBUTES,
    VALUES,
    stored_report,
    stored_value,
)

Row = dict[str, Any]
_Rows = dict[tuple[int, object], Row]


class Pending:
    """Rows and states to write, the newest of each kind only; written twice, they say the same."""

    def __init__(self) -> None:
        self.ended: dict[int, FrozenTrial] = {}
        """Trials with the state and the values that they shall have."""
        self._rows: defaultdict[Table, _Rows] = defaultdict(dict)

    def set_param(
        self, trial_id: int, name: str, value: float, distribution: BaseDistribution
    ) -> None:
        """Keeps a parameter's value, in Optuna's internal representation."""
        self._rows[PARAMS][trial_id, name] = {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": float(value),
            "distribution_json": distribution_to_json(distribution),
        }

    def report(self, trial_id: int, step: int, value: float) -> None:
        """Keeps an intermediate value."""
        stored, kind = stored_report(value)
        self._rows[REPORTS][trial_id, step] = {
            "trial_id": trial_id,
            "step": step,
            "intermediate_value": stored,
            "intermediate_value_type": kind,
        }

    def set_attribute(self, table: Table, trial_id: int, key: str, value_json: str) -> None:
        """Keeps a user or a system attribute, in the table of the one or the other."""
        self._rows[table][trial_id, key] = {
            "trial_id": trial_id,
            "key": key,
            "value_json": value_json,
        }

    def add_trial(self, trial: FrozenTrial) -> None:
        """Keeps all that a trial has beside the row of its own."""
        trial_id = trial._trial_id
        for name, distribution in trial.distributions.items():
            value = distribution.to_internal_repr(trial.params[name])
            self.set_param(trial_id, name, value, distribution)
        for step, value in trial.intermediate_values.items():
            self.report(trial_id, step, value)
        for key, value in trial.user_attrs.items():
            self.set_attribute(USER_ATTRIBUTES, trial_id, key, json.dumps(value))
        for key, value in trial.system_attrs.items():
            self.set_attribute(SYSTEM_ATTRIBUTES, trial_id, key, json.dumps(value))
        self._rows[VALUES].update(_values(trial))

    def trial_ids(self) -> set[int]:
        """The trials that something is kept of."""
        return {trial_id for rows in self._rows.values() for trial_id, _ in rows} | set(self.ended)

    def tables(self, without: Collection[int] = ()) -> Iterator[tuple[Table, list[Row]]]:
        """The rows of each table, but those of some trials."""
        ended = {key: row for trial in self.ended.values() for key, row in _values(trial).items()}
        for table, rows in {**self._rows, VALUES: {**self._rows.get(VALUES, {}), **ended}}.items():
            kept = [row for row in rows.values() if row["trial_id"] not in without]
            if kept:
                yield table, kept

    def clear(self) -> None:
        """Forgets everything."""
        self.ended.clear()
        self._rows.clear()

    def __bool__(self) -> bool:
        return bool(self.ended or self._rows)


def _values(trial: FrozenTrial) -> _Rows:
    rows: _Rows = {}
    for objective, value in enumerate(trial.values or ()):
        stored, kind = stored_value(value)
        rows[trial._trial_id, objective] = {
            "trial_id": trial._trial_id,
            "objective": objective,
            "value": stored,
            "value_type": kind,
        }
    return rows
