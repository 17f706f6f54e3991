"""A study that others write to as well, and that one coordinator takes over from another."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from stored_study import assert_same, names, statements

from storage.database import Database
from storage.errors import StudyDeleted, StudyLocked
from storage.study_storage import StudyStorage

WAITING, RUNNING, FAIL = TrialState.WAITING, TrialState.RUNNING, TrialState.FAIL
COMPLETE = TrialState.COMPLETE
ROOT = Path(__file__).parents[2]


def test_new_trials_of_others_come_in(
    storage: StudyStorage, optunas: RDBStorage, study_id: int
) -> None:
    ours = storage.create_new_trial(study_id)
    study = optuna.load_study(study_name=storage.get_study_name_from_id(study_id), storage=optunas)
    study.enqueue_trial({"depth": 3}, user_attrs={"who": "me"})
    study.add_trial(create_trial(value=0.75, intermediate_values={1: 0.5}))
    assert len(storage.get_all_trials(study_id)) == 1
    storage.refresh()
    assert_same(storage, optunas, study_id)
    assert storage.get_n_trials(study_id, WAITING) == 1
    assert storage.get_all_trials(study_id)[0]._trial_id == ours
    study.enqueue_trial({"depth": 4})
    # Numbers go on from the others', whether or not these are known yet.
    assert storage.get_trial(storage.create_new_trial(study_id)).number == 4
    assert [trial.number for trial in storage.get_all_trials(study_id)] == [0, 1, 2, 3, 4]
    assert_same(storage, optunas, study_id)


def test_trial_that_is_not_known_is_looked_for(
    storage: StudyStorage, optunas: RDBStorage, study_id: int
) -> None:
    storage.create_new_trial(study_id)
    assert storage.get_trial(optunas.create_new_trial(study_id)).number == 1
    elsewhere = optunas.create_new_study([StudyDirection.MAXIMIZE], next(names))
    assert storage.get_trial(optunas.create_new_trial(elsewhere)).number == 0


def test_trial_told_by_somebody_else_ends_as_told(
    storage: StudyStorage, optunas: RDBStorage, study_id: int
) -> None:
    trial = storage.create_new_trial(study_id)
    storage.set_trial_intermediate_value(trial, 1, 0.5)
    optunas.set_trial_user_attr(trial, "who", "me")
    optunas.set_trial_state_values(trial, COMPLETE, [0.25])
    storage.refresh()
    assert storage.get_trial(trial).value == 0.25
    assert storage.get_trial(trial).intermediate_values == {}
    assert storage.get_all_trials(study_id, states=(RUNNING,)) == []
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_user_attr(trial, "reason", "late")
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_state_values(trial, FAIL)
    storage.flush()
    assert_same(storage, optunas, study_id)


def test_telling_what_somebody_else_has_told_changes_nothing(
    storage: StudyStorage, optunas: RDBStorage, study_id: int
) -> None:
    trial, other = storage.create_new_trial(study_id), storage.create_new_trial(study_id)
    optunas.set_trial_state_values(trial, COMPLETE, [0.25])
    storage.set_trial_user_attr(trial, "reason", "late")
    storage.set_trial_user_attr(other, "reason", "none")
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_state_values(trial, FAIL)
    assert storage.get_trial(trial).value == 0.25
    assert optunas.get_trial(other).user_attrs == {"reason": "none"}
    assert_same(storage, optunas, study_id)


def test_end_that_waits_gives_way_to_what_somebody_else_has_told(
    storage: StudyStorage, optunas: RDBStorage, study_id: int
) -> None:
    trial = storage.create_new_trial(study_id)
    with storage.together():
        storage.set_trial_state_values(trial, COMPLETE, [1.0])
        optunas.set_trial_state_values(trial, FAIL)
    assert storage.get_trial(trial).state is FAIL
    assert_same(storage, optunas, study_id)


def test_waiting_trial_is_taken_by_one_only(
    storage: StudyStorage, optunas: RDBStorage, study_id: int
) -> None:
    template = create_trial(state=WAITING, user_attrs={"who": "me"})
    first, second, third = (storage.create_new_trial(study_id, template) for _ in range(3))
    assert optunas.set_trial_state_values(first, RUNNING)
    optunas.set_trial_state_values(second, RUNNING)
    optunas.set_trial_state_values(second, FAIL)
    assert not storage.set_trial_state_values(first, RUNNING)
    assert not storage.set_trial_state_values(second, RUNNING)
    assert storage.set_trial_state_values(third, RUNNING)
    assert not storage.set_trial_state_values(third, RUNNING)
    assert not optunas.set_trial_state_values(third, RUNNING)
    assert_same(storage, optunas, study_id)
    assert [trial.state for trial in storage.get_all_trials(study_id)] == [RUNNING, FAIL, RUNNING]


def test_attributes_of_others_come_in_beside_what_is_queued(
    storage: StudyStorage, optunas: RDBStorage, study_id: int
) -> None:
    trial = storage.create_new_trial(study_id)
    waiting = storage.create_new_trial(study_id, create_trial(state=WAITING))
    storage.set_trial_user_attr(trial, "ours", 1)
    storage.set_trial_system_attr(trial, "both", "ours, queued")
    optunas.set_trial_user_attr(trial, "theirs", 2)
    optunas.set_trial_system_attr(trial, "both", "theirs")
    optunas.set_trial_user_attr(waiting, "theirs", 3)
    optunas.set_study_user_attr(study_id, "note", "look at 7")
    optunas.set_study_system_attr(study_id, "dashboard:note_ver", 1)
    storage.refresh()
    assert storage.get_trial(trial).user_attrs == {"ours": 1, "theirs": 2}
    assert storage.get_trial(trial).system_attrs == {"both": "ours, queued"}
    assert storage.get_trial(waiting).user_attrs == {"theirs": 3}
    assert storage.get_study_user_attrs(study_id) == {"note": "look at 7"}
    storage.flush()
    assert_same(storage, optunas, study_id)


def test_refreshing_costs_the_same_however_many_trials_have_ended(
    storage: StudyStorage, study_id: int
) -> None:
    storage.create_new_trial(study_id)

    def cost() -> int:
        with statements(storage) as sent:
            storage.refresh()
        return len(sent)

    few = cost()
    for _ in range(20):
        storage.set_trial_state_values(storage.create_new_trial(study_id), COMPLETE, [1.0])
    assert cost() == few


@pytest.mark.parametrize(
    "use",
    [
        lambda storage, study_id, trial: storage.refresh(),
        lambda storage, study_id, trial: storage.create_new_trial(study_id),
        lambda storage, study_id, trial: storage.set_trial_state_values(trial, FAIL),
        lambda storage, study_id, trial: storage.set_study_user_attr(study_id, "a", 1),
    ],
)
def test_deleted_study_is_named(
    storage: StudyStorage, optunas: RDBStorage, study_id: int, use: Any
) -> None:
    trial = storage.create_new_trial(study_id)
    name = storage.get_study_name_from_id(study_id)
    optunas.delete_study(study_id)
    for _ in range(2):
        with pytest.raises(StudyDeleted, match=f"study '{name}' was deleted") as caught:
            use(storage, study_id, trial)
        assert "\n" not in str(caught.value)
    assert name not in {study.study_name for study in storage.get_all_studies()}


def test_nothing_is_written_to_another_study_under_a_number_used_twice(
    storage: StudyStorage, optunas: RDBStorage, study_id: int
) -> None:
    trial = storage.create_new_trial(study_id)
    storage.set_trial_user_attr(trial, "ours", 1)
    optunas.delete_study(study_id)
    # SQLite gives numbers anew.
    anew = optunas.create_new_study([StudyDirection.MAXIMIZE], next(names))
    theirs = optunas.create_new_trial(anew)
    with pytest.raises(StudyDeleted):
        storage.flush()
    assert optunas.get_trial(theirs).user_attrs == {}
    optunas.delete_study(anew)


ENQUEUE = """
import sys
import optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
url, name = sys.stdin.readline().strip(), sys.argv[1]
study = optuna.load_study(study_name=name, storage=optuna.storages.RDBStorage(url))
print("ready", flush=True)
for _ in range(40):
    study.enqueue_trial({"depth": 3})
"""


@pytest.mark.slow
def test_numbers_are_contiguous_while_another_process_enqueues(
    storage: StudyStorage, optunas: RDBStorage, study_id: int, database: Database
) -> None:
    name = storage.get_study_name_from_id(study_id)
    command = [sys.executable, "-c", ENQUEUE, name]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(database.url.render_as_string(hide_password=False) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        created = 0
        while process.poll() is None or created < 40:
            storage.create_new_trial(study_id)
            created += 1
    assert process.returncode == 0
    storage.refresh()
    numbers = [trial.number for trial in storage.get_all_trials(study_id, deepcopy=False)]
    assert numbers == list(range(created + 40))
    assert_same(storage, optunas, study_id)


# One coordinator after the other.


def test_claim_counts_the_coordinators(
    open_storage: Callable[..., StudyStorage], storage: StudyStorage, study_id: int
) -> None:
    name = storage.get_study_name_from_id(study_id)
    assert [open_storage().claim(name) for _ in range(2)] == [1, 2]
    assert storage.claim(name) == 3
    storage.create_new_trial(study_id)
    assert storage.get_study_system_attrs(study_id) == {"unet-search:generation": 3}
    with pytest.raises(KeyError):
        storage.claim("nobody's study")


@pytest.mark.parametrize(
    "write",
    [
        lambda storage, study_id, trial: storage.create_new_trial(study_id),
        lambda storage, study_id, trial: storage.set_trial_state_values(trial, COMPLETE, [1.0]),
        lambda storage, study_id, trial: storage.set_study_user_attr(study_id, "late", 1),
        lambda storage, study_id, trial: storage.flush(),
        lambda storage, study_id, trial: storage.refresh(),
    ],
)
def test_whoever_claimed_a_study_before_writes_nothing_more(
    open_storage: Callable[..., StudyStorage],
    storage: StudyStorage,
    optunas: RDBStorage,
    study_id: int,
    write: Any,
) -> None:
    name = storage.get_study_name_from_id(study_id)
    storage.claim(name)
    trial = storage.create_new_trial(study_id)
    second = open_storage()
    second.claim(name)
    storage.set_trial_user_attr(trial, "late", 1)
    for _ in range(2):
        with pytest.raises(StudyLocked, match=f"'{name}' was taken over by another") as caught:
            write(storage, study_id, trial)
        assert "\n" not in str(caught.value)
    assert_same(second, optunas, study_id)
    assert second.get_trial(trial).state is RUNNING
    assert second.get_trial(trial).user_attrs == {}
    assert len(second.get_all_trials(study_id)) == 1


def test_claim_sees_what_was_written_until_then(
    open_storage: Callable[..., StudyStorage], storage: StudyStorage, study_id: int
) -> None:
    name = storage.get_study_name_from_id(study_id)
    trial = storage.create_new_trial(study_id)
    second = open_storage()
    assert second.get_trial(trial).intermediate_values == {}
    storage.set_trial_intermediate_value(trial, 1, 0.5)
    storage.flush()
    second.claim(name)
    assert second.get_trial(trial).intermediate_values == {1: 0.5}


def test_studies_that_nobody_claimed_are_anybodys(
    open_storage: Callable[..., StudyStorage], storage: StudyStorage, study_id: int
) -> None:
    second = open_storage()
    second.claim(storage.get_study_name_from_id(study_id))
    storage.create_new_trial(study_id)
    second.create_new_trial(study_id)
    assert [trial.number for trial in second.get_all_trials(study_id)] == [0, 1]
