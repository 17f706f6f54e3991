"""A study in a storage: what is written to it, and what another program reads of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy import event

from storage.study_storage import StudyStorage

names = (f"study {number}" for number in itertools.count())


def fields(trial: FrozenTrial) -> dict[str, Any]:
    """All that a trial has, and NaN equal to itself."""
    reports = {step: repr(value) for step, value in trial.intermediate_values.items()}
    params = list(trial.params.items())
    return {**trial.__dict__, "intermediate_values": reports, "_params": params}


def assert_same(ours: StudyStorage, theirs: RDBStorage, study_id: int) -> None:
    in_database = theirs.get_all_trials(study_id, deepcopy=False)
    in_memory = ours.get_all_trials(study_id, deepcopy=False)
    assert [fields(trial) for trial in in_memory] == [fields(trial) for trial in in_database]
    assert ours.get_study_user_attrs(study_id) == theirs.get_study_user_attrs(study_id)
    assert ours.get_study_system_attrs(study_id) == theirs.get_study_system_attrs(study_id)


@contextmanager
def statements(storage: StudyStorage) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    engine = storage._backend.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def write_everything(storage: StudyStorage, study_id: int) -> None:
    trial = storage.create_new_trial(study_id)
    storage.set_trial_param(trial, "rate", 1e-3, FloatDistribution(1e-5, 1e-1, log=True))
    storage.set_trial_param(trial, "loss", 1, CategoricalDistribution(("bce", "dice", None)))
    storage.set_trial_param(trial, "depth", 3, IntDistribution(2, 5))
    for step, value in enumerate((0.1, math.inf, -math.inf, math.nan, 1e308)):
        storage.set_trial_intermediate_value(trial, step, value)
    storage.set_trial_user_attr(trial, "notes", {"who": ["ä", None, 1.5], "nested": {"1": ()}})
    storage.set_trial_user_attr(trial, "quotes", 'it\'s "100 %" :of {them} \\ \0 \n')
    storage.set_trial_user_attr(trial, "notes", (1, 2))
    storage.set_trial_system_attr(trial, "completed_rung_0", math.inf)
