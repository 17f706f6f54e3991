from __future__ import annotations

import itertools
import json
import math
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import event, make_url

from storage.database import Database, database_from_environment
from storage.errors import DatabaseError, StudyDeleted, StudyLocked
from storage.studies import open_study_storage
from storage.study_storage import StudyStorage

WAITING, RUNNING, FAIL = TrialState.WAITING, TrialState.RUNNING, TrialState.FAIL
COMPLETE, PRUNED = TrialState.COMPLETE, TrialState.PRUNED
ROOT = Path(__file__).parents[2]
names = (f"study {number}" for number in itertools.count())


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Database:
    if request.param == "sqlite":
        return database_from_environment(tmp_path_factory.mktemp("storage"), {})
    server = request.getfixturevalue("postgres_server")
    url = make_url(server.create_database("study_storage"))
    return Database(url.set(drivername="postgresql+psycopg2"))


@pytest.fixture
def open_storage(database: Database) -> Iterator[Callable[..., StudyStorage]]:
    opened: list[StudyStorage] = []

    def open_(**settings: Any) -> StudyStorage:
        opened.append(StudyStorage(database, **settings))
        return opened[-1]

    yield open_
    for storage in opened:
        try:
            storage.close()
        except (StudyDeleted, StudyLocked, DatabaseError):
            storage._studies.clear()
            storage.close()


@pytest.fixture
def storage(open_storage: Callable[..., StudyStorage]) -> StudyStorage:
    return open_storage()


@pytest.fixture(scope="module")
def optunas(database: Database) -> Iterator[RDBStorage]:
    """Optuna's own storage, for what other programs read and write."""
    storage = open_study_storage(database)
    yield storage
    storage.remove_session()
    storage.engine.dispose()


@pytest.fixture
def study_id(storage: StudyStorage) -> int:
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], next(names))
    assert storage.get_all_trials(study_id) == []
    return study_id


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


# Others.


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


# SQLite's own failures.


@pytest.fixture
def file_storage(tmp_path: Path) -> Iterator[StudyStorage]:
    storage = StudyStorage(database_from_environment(tmp_path, {}))
    yield storage
    storage.close()


def assert_fails_once(
    storage: StudyStorage, study_id: int, trial: int, match: str, mend: Callable[[], Any]
) -> None:
    """A write that fails changes nothing, and what was queued is written later."""
    for write in (
        lambda: storage.set_trial_state_values(trial, COMPLETE, [1.0]),
        lambda: storage.create_new_trial(study_id),
        lambda: storage.set_study_user_attr(study_id, "a", 1),
        storage.flush,
    ):
        with pytest.raises(DatabaseError, match=match) as caught:
            write()
        assert "\n" not in str(caught.value)
    assert storage.get_trial(trial).state is RUNNING
    assert storage.get_study_user_attrs(study_id) == {}
    mend()
    storage.set_trial_state_values(trial, COMPLETE, [1.0])
    theirs = open_study_storage(storage._database)
    assert_same(storage, theirs, study_id)
    assert len(theirs.get_all_trials(study_id)) == 1
    theirs.remove_session()
    theirs.engine.dispose()


def test_locked_file_is_named_and_nothing_is_lost(file_storage: StudyStorage) -> None:
    study_id = file_storage.create_new_study([StudyDirection.MAXIMIZE], "mito")
    trial = file_storage.create_new_trial(study_id)
    file_storage.set_trial_user_attr(trial, "threshold", 0.5)
    event.listen(
        file_storage._backend.engine,
        "connect",
        lambda connection, _: connection.execute("PRAGMA busy_timeout = 10"),
    )
    file_storage._transactions.close()
    file_storage._backend.engine.dispose()
    path = str(file_storage._database.url.database)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert_fails_once(
            file_storage,
            study_id,
            trial,
            "held by another program: stop it",
            lambda: other.execute("ROLLBACK"),
        )


def test_full_disk_is_named_and_nothing_is_lost(file_storage: StudyStorage) -> None:
    study_id = file_storage.create_new_study([StudyDirection.MAXIMIZE], "mito")
    trial = file_storage.create_new_trial(study_id)
    file_storage.set_trial_user_attr(trial, "traceback", "x" * 100_000)
    pages = {"most": 1}

    def limit(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages['most']}")

    event.listen(file_storage._backend.engine, "connect", limit)

    def mend() -> None:
        pages["most"] = 100_000
        file_storage._transactions.close()
        file_storage._backend.engine.dispose()

    file_storage._transactions.close()
    file_storage._backend.engine.dispose()
    assert_fails_once(file_storage, study_id, trial, r"database or disk is full", mend)
