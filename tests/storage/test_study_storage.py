from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from stored_study import assert_same, fields, names, statements, write_everything

from storage.study_storage import StudyStorage

WAITING, RUNNING, FAIL = TrialState.WAITING, TrialState.RUNNING, TrialState.FAIL
COMPLETE, PRUNED = TrialState.COMPLETE, TrialState.PRUNED


def test_optuna_reads_what_was_written(
    storage: StudyStorage, optunas: RDBStorage, study_id: int
) -> None:
    for state, values in ((COMPLETE, [math.inf]), (PRUNED, [0.5]), (FAIL, None)):
        write_everything(storage, study_id)
        last = storage.get_all_trials(study_id)[-1]._trial_id
        storage.set_trial_state_values(last, state, values)
    write_everything(storage, study_id)
    storage.flush()
    assert_same(storage, optunas, study_id)


def test_templates_are_stored_as_optuna_stores_them(
    storage: StudyStorage, optunas: RDBStorage, study_id: int
) -> None:
    hour = datetime.now() - timedelta(hours=1)
    storage.create_new_trial(
        study_id, create_trial(state=WAITING, system_attrs={"fixed_params": {"depth": 3}})
    )
    complete = create_trial(
        value=0.5,
        params={"rate": 1, "loss": "dice"},
        distributions={
            "rate": FloatDistribution(0, 2),
            "loss": CategoricalDistribution(("bce", "dice")),
        },
        intermediate_values={3: 0.25, 1: math.nan},
        user_attrs={"tuple": (1, 2)},
    )
    complete.datetime_start = hour.astimezone()
    storage.create_new_trial(study_id, complete)
    assert_same(storage, optunas, study_id)
    assert storage.get_all_trials(study_id)[1].datetime_start == hour
    assert storage.get_all_trials(study_id)[1].params == {"rate": 1.0, "loss": "dice"}


def test_study_of_several_objectives_is_stored_as_optuna_stores_it(
    storage: StudyStorage, optunas: RDBStorage
) -> None:
    directions = [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE]
    study_id = storage.create_new_study(directions, next(names))
    trial = storage.create_new_trial(study_id)
    storage.set_trial_state_values(trial, COMPLETE, [1, -math.inf])
    assert storage.get_trial(trial).values == [1.0, -math.inf]
    assert_same(storage, optunas, study_id)


def test_what_is_written_outlives_the_storage(
    open_storage: Callable[..., StudyStorage], optunas: RDBStorage
) -> None:
    first = open_storage()
    study_id = first.create_new_study([StudyDirection.MAXIMIZE], next(names))
    write_everything(first, study_id)
    first.set_study_user_attr(study_id, "config", {"a": [1]})
    write_everything(first, study_id)
    first.close()
    assert_same(open_storage(), optunas, study_id)


def test_trial_is_written_with_the_next_change_of_a_state(
    storage: StudyStorage, optunas: RDBStorage, study_id: int
) -> None:
    trial, other = storage.create_new_trial(study_id), storage.create_new_trial(study_id)
    for write in (
        lambda: storage.create_new_trial(study_id),
        lambda: storage.set_trial_state_values(other, COMPLETE, [1.0]),
        lambda: storage.set_study_user_attr(study_id, "seconds", 1),
        storage.flush,
        storage.refresh,
    ):
        value = len(storage.get_trial(trial).user_attrs)
        with statements(storage) as sent:
            storage.set_trial_user_attr(trial, f"key {value}", value)
            storage.set_trial_intermediate_value(trial, value, 0.5)
        assert sent == []
        assert f"key {value}" not in optunas.get_trial(trial).user_attrs
        write()
        assert optunas.get_trial(trial).user_attrs[f"key {value}"] == value
        assert optunas.get_trial(trial).intermediate_values[value] == 0.5


def test_change_of_a_state_is_one_transaction(storage: StudyStorage, study_id: int) -> None:
    with statements(storage) as sent:
        write_everything(storage, study_id)
        trial = storage.get_all_trials(study_id)[-1]._trial_id
        storage.set_trial_state_values(trial, COMPLETE, [0.5])
    assert sent.count("COMMIT") == 2
    assert len(sent) < 20


def test_reading_asks_the_database_for_nothing(storage: StudyStorage, study_id: int) -> None:
    trials = [storage.create_new_trial(study_id) for _ in range(3)]
    storage.create_new_trial(study_id, create_trial(state=WAITING))
    storage.set_trial_state_values(trials[1], COMPLETE, [0.5])
    with statements(storage) as sent:
        found = storage.get_all_trials(study_id, deepcopy=False, states=(WAITING, RUNNING))
        assert [trial.number for trial in found] == [0, 2, 3]
        assert len(storage.get_all_trials(study_id)) == 4
        assert storage.get_trial(trials[1]).value == 0.5
        assert storage.get_n_trials(study_id, COMPLETE) == 1
        assert storage.get_n_trials(study_id, (RUNNING, WAITING)) == 3
        assert storage.get_best_trial(study_id).number == 1
        assert storage.get_trial_id_from_study_id_trial_number(study_id, 2) == trials[2]
        assert storage.get_study_user_attrs(study_id) == {}
    assert sent == []


def test_what_was_handed_out_never_changes(storage: StudyStorage, study_id: int) -> None:
    write_everything(storage, study_id)
    trial = storage.get_all_trials(study_id)[-1]._trial_id
    handed_out = [storage.get_trial(trial), *storage.get_all_trials(study_id, deepcopy=False)]
    before = [json.dumps(fields(each), default=repr) for each in handed_out]
    study = optuna.load_study(study_name=storage.get_study_name_from_id(study_id), storage=storage)
    running = optuna.Trial(study, trial)
    running.set_user_attr("notes", "new")
    running.report(0.75, 9)
    running.suggest_float("dropout", 0, 1)
    study.tell(running, 0.5)
    assert [json.dumps(fields(each), default=repr) for each in handed_out] == before


def test_distribution_of_another_kind_is_refused_as_by_optuna(
    open_storage: Callable[..., StudyStorage], study_id: int, storage: StudyStorage
) -> None:
    write_everything(storage, study_id)
    storage.flush()
    for each in (storage, open_storage()):
        trial = each.create_new_trial(study_id)
        with pytest.raises(ValueError, match="Cannot set different distribution kind"):
            each.set_trial_param(trial, "rate", 1, IntDistribution(1, 2))
        assert each.get_trial(trial).params == {}


@pytest.mark.parametrize(
    "write",
    [
        lambda storage, trial: storage.set_trial_user_attr(trial, "x" * 513, 1),
        lambda storage, trial: storage.set_trial_system_attr(trial, "a\0b", 1),
        lambda storage, trial: storage.set_trial_intermediate_value(trial, 2**31, 1.0),
        lambda storage, trial: storage.set_trial_user_attr(trial, "a", {1, 2}),
    ],
)
def test_what_cannot_be_stored_is_refused_at_once_and_not_queued(
    storage: StudyStorage, optunas: RDBStorage, study_id: int, write: Any
) -> None:
    trial = storage.create_new_trial(study_id)
    with pytest.raises((ValueError, TypeError)):
        write(storage, trial)
    storage.set_trial_state_values(trial, COMPLETE, [1.0])
    assert_same(storage, optunas, study_id)


def test_ends_are_written_together_with_the_next_beginning(
    storage: StudyStorage, optunas: RDBStorage, study_id: int
) -> None:
    trial = storage.create_new_trial(study_id)
    with storage.together():
        with statements(storage) as sent:
            storage.set_trial_user_attr(trial, "threshold", 0.5)
            storage.set_trial_state_values(trial, COMPLETE, [1.0])
        assert sent == []
        assert storage.get_trial(trial).state is COMPLETE
        with pytest.raises(UpdateFinishedTrialError):
            storage.set_trial_user_attr(trial, "late", 1)
        with statements(storage) as sent:
            second = storage.create_new_trial(study_id)
        assert sent.count("COMMIT") == 1
        assert_same(storage, optunas, study_id)
        storage.set_trial_state_values(second, FAIL)
    assert_same(storage, optunas, study_id)
