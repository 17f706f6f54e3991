"""A database server that goes away: between two writes, and in the middle of one."""

from __future__ import annotations

import itertools
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from sqlalchemy import URL, make_url

from storage.database import Database
from storage.errors import DatabaseError, StudyLocked
from storage.lock import StudyLock
from storage.studies import open_study_storage
from storage.study_storage import StudyStorage

WAITING, RUNNING, FAIL = TrialState.WAITING, TrialState.RUNNING, TrialState.FAIL
COMPLETE = TrialState.COMPLETE
names = (f"study {number}" for number in itertools.count())


class Wire:
    """Stands between a client and the server, and can be cut at a word of the client's."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._cut: tuple[bytes, bool, float] | None = None
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_at(self, word: str, *, delivered: bool, noticed_after_seconds: float = 0.0) -> None:
        """Cut the connection when the client says this next.

        The server hears the word or not; the client never hears an answer. The server may learn
        only later that nobody is there.
        """
        self._cut = (word.encode(), delivered, noticed_after_seconds)

    @property
    def was_cut(self) -> bool:
        return self._cut is None

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        address = ("127.0.0.1", self._server_port)
        with suppress(OSError), client, socket.create_connection(address) as server:
            delay = self._exchange(client, server)
            client.close()
            time.sleep(delay)

    def _exchange(self, client: socket.socket, server: socket.socket) -> float:
        while True:
            for source in select.select([client, server], [], [])[0]:
                data = source.recv(1 << 16)
                if not data:
                    return 0.0
                if source is client and self._cut is not None and self._cut[0] in data:
                    (_, delivered, delay), self._cut = self._cut, None
                    if delivered:
                        server.sendall(data)
                        server.recv(1 << 16)
                    return delay
                (server if source is client else client).sendall(data)


@pytest.fixture(scope="module")
def url(postgres_server: Any) -> URL:
    url = make_url(postgres_server.create_database("outages"))
    return url.set(drivername="postgresql+psycopg2")


@pytest.fixture(scope="module")
def optunas(url: URL) -> Iterator[RDBStorage]:
    """Optuna's own storage, connected without the wire."""
    storage = open_study_storage(Database(url))
    yield storage
    storage.remove_session()
    storage.engine.dispose()


@pytest.fixture
def wire(postgres_server: Any) -> Iterator[Wire]:
    wire = Wire(postgres_server.port)
    yield wire
    wire.close()


@pytest.fixture
def open_storage(wire: Wire, url: URL, optunas: RDBStorage) -> Iterator[Callable[..., Any]]:
    opened: list[StudyStorage] = []

    def open_(**settings: Any) -> StudyStorage:
        opened.append(StudyStorage(Database(url.set(port=wire.port)), **settings))
        return opened[-1]

    yield open_
    for storage in opened:
        with suppress(DatabaseError, StudyLocked):
            storage.close()


@pytest.fixture
def storage(open_storage: Callable[..., StudyStorage]) -> StudyStorage:
    return open_storage()


@pytest.fixture
def study_id(storage: StudyStorage) -> int:
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], next(names))
    storage.claim(storage.get_study_name_from_id(study_id))
    assert storage.get_all_trials(study_id) == []
    return study_id


def create(storage: StudyStorage, study_id: int, trial: int) -> None:
    assert storage.get_trial(storage.create_new_trial(study_id)).number == 2


def enqueue(storage: StudyStorage, study_id: int, trial: int) -> None:
    template = create_trial(state=WAITING, user_attrs={"retried_from": 0})
    assert storage.get_trial(storage.create_new_trial(study_id, template)).number == 2


def tell(storage: StudyStorage, study_id: int, trial: int) -> None:
    assert storage.set_trial_state_values(trial, COMPLETE, [0.5])


def take(storage: StudyStorage, study_id: int, trial: int) -> None:
    (waiting,) = storage.get_all_trials(study_id, states=(WAITING,))
    assert storage.set_trial_state_values(waiting._trial_id, RUNNING)


def describe(storage: StudyStorage, study_id: int, trial: int) -> None:
    storage.set_study_user_attr(study_id, "seconds", 1.5)


def claim(storage: StudyStorage, study_id: int, trial: int) -> None:
    assert storage.claim(storage.get_study_name_from_id(study_id)) == 2


def refresh(storage: StudyStorage, study_id: int, trial: int) -> None:
    storage.refresh()


@pytest.mark.parametrize("use", [create, enqueue, tell, take, describe, claim, refresh])
@pytest.mark.parametrize(
    ("word", "delivered"),
    [
        pytest.param("BEGIN", False, id="before the begin"),
        pytest.param("INSERT INTO trial_user_attributes", True, id="in the middle"),
        pytest.param("COMMIT", False, id="before the commit"),
        pytest.param("COMMIT", True, id="after the commit"),
    ],
)
def test_connection_that_is_cut_changes_nothing_about_what_is_written(
    storage: StudyStorage,
    optunas: RDBStorage,
    study_id: int,
    wire: Wire,
    use: Any,
    word: str,
    delivered: bool,
) -> None:
    trial = storage.create_new_trial(study_id)
    storage.create_new_trial(study_id, create_trial(state=WAITING))
    storage.set_trial_user_attr(trial, "threshold", 0.5)
    storage.set_trial_intermediate_value(trial, 1, 0.25)
    wire.cut_at(word, delivered=delivered)
    use(storage, study_id, trial)
    assert wire.was_cut
    storage.flush()
    assert storage.get_all_trials(study_id) == optunas.get_all_trials(study_id)
    assert storage.get_study_user_attrs(study_id) == optunas.get_study_user_attrs(study_id)
    assert storage.get_trial(trial).user_attrs == {"threshold": 0.5}
    assert [each.number for each in storage.get_all_trials(study_id)] == [
        *range(3 if use in (create, enqueue) else 2)
    ]


def test_creation_of_a_study_survives_a_cut(
    storage: StudyStorage, optunas: RDBStorage, wire: Wire
) -> None:
    name = next(names)
    wire.cut_at("INSERT INTO studies", delivered=False)
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], name)
    assert wire.was_cut
    assert optunas.get_study_id_from_name(name) == study_id


def test_commit_that_the_server_still_holds_is_waited_for(
    storage: StudyStorage, optunas: RDBStorage, study_id: int, wire: Wire
) -> None:
    wire.cut_at("COMMIT", delivered=False, noticed_after_seconds=1.0)
    storage.create_new_trial(study_id)
    assert wire.was_cut
    assert storage.get_all_trials(study_id) == optunas.get_all_trials(study_id)
    assert len(storage.get_all_trials(study_id)) == 1


def test_ended_session_is_replaced(
    storage: StudyStorage, optunas: RDBStorage, study_id: int, postgres_server: Any
) -> None:
    storage.create_new_trial(study_id)
    postgres_server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'outages'"
    )
    storage.create_new_trial(study_id)
    assert [trial.number for trial in optunas.get_all_trials(study_id)] == [0, 1]


def test_server_that_is_away_is_waited_for(
    open_storage: Callable[..., StudyStorage], optunas: RDBStorage, postgres_server: Any
) -> None:
    seen: list[str] = []
    storage = open_storage(
        outage_seconds=60.0,
        on_outage=lambda error: seen.append(str(error)),
        on_return=lambda: seen.append("back"),
    )
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], next(names))
    trial = storage.create_new_trial(study_id)
    storage.set_trial_user_attr(trial, "threshold", 0.5)
    postgres_server.stop()
    with ThreadPoolExecutor(1) as pool:
        telling = pool.submit(storage.set_trial_state_values, trial, COMPLETE, [0.5])
        try:
            while not seen:
                time.sleep(0.05)
            assert not telling.done()
        finally:
            postgres_server.start()
        assert telling.result(60)
    assert storage.get_all_trials(study_id) == optunas.get_all_trials(study_id)
    assert optunas.get_trial(trial).user_attrs == {"threshold": 0.5}
    assert seen[-1] == "back"
    assert all("no answer from the study database" in line for line in seen[:-1])
    assert not any("\n" in line for line in seen)


def test_outage_that_goes_on_is_named_and_nothing_is_lost(
    open_storage: Callable[..., StudyStorage], optunas: RDBStorage, postgres_server: Any
) -> None:
    storage = open_storage(outage_seconds=0.6)
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], next(names))
    trial = storage.create_new_trial(study_id)
    storage.set_trial_user_attr(trial, "threshold", 0.5)
    postgres_server.stop()
    try:
        for use in (
            lambda: storage.set_trial_state_values(trial, COMPLETE, [0.5]),
            lambda: storage.create_new_trial(study_id),
            storage.get_all_studies,
            storage.flush,
        ):
            with pytest.raises(DatabaseError, match="no answer from the study database") as caught:
                use()
            assert "\n" not in str(caught.value)
    finally:
        postgres_server.start()
    assert storage.get_trial(trial).state is RUNNING
    storage.flush()
    assert storage.get_all_trials(study_id) == optunas.get_all_trials(study_id)
    assert optunas.get_trial(trial).user_attrs == {"threshold": 0.5}


def test_a_database_that_was_given_up_is_not_waited_for_again(
    open_storage: Callable[..., StudyStorage], postgres_server: Any
) -> None:
    told: list[DatabaseError] = []
    storage = open_storage(outage_seconds=1.2, on_outage=told.append)
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], next(names))
    trial = storage.create_new_trial(study_id)

    def end_one_and_begin_another() -> None:
        with storage.together():
            storage.set_trial_state_values(trial, COMPLETE, [0.5])
            storage.create_new_trial(study_id)

    postgres_server.stop()
    try:
        with pytest.raises(DatabaseError, match="no answer"):
            end_one_and_begin_another()
        waited = len(told)
        assert waited > 0
        # What the search has ended with is not replaced by the same error once more.
        storage.close()
        assert len(told) == waited
    finally:
        postgres_server.start()


def test_without_patience_an_outage_ends_at_once(
    storage: StudyStorage, study_id: int, postgres_server: Any
) -> None:
    start = time.monotonic()
    postgres_server.stop()
    try:
        with pytest.raises(DatabaseError, match="cannot be used"):
            storage.create_new_trial(study_id)
        assert time.monotonic() - start < 30
    finally:
        postgres_server.start()
    assert storage.get_trial(storage.create_new_trial(study_id)).number == 0


def test_nothing_is_written_where_the_lock_is_lost_on_return(
    open_storage: Callable[..., StudyStorage], optunas: RDBStorage, wire: Wire
) -> None:
    def refuse() -> None:
        raise StudyLocked("study 'mito' is already run by another process")

    storage = open_storage(outage_seconds=60.0, on_return=refuse)
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], next(names))
    trial = storage.create_new_trial(study_id)
    storage.set_trial_user_attr(trial, "late", 1)
    wire.cut_at("COMMIT", delivered=False)
    with pytest.raises(StudyLocked, match="already run by another process"):
        storage.create_new_trial(study_id)
    assert optunas.get_trial(trial).user_attrs == {}
    assert len(optunas.get_all_trials(study_id)) == 1


def test_waiting_can_be_ended_by_whoever_is_told_of_it(
    open_storage: Callable[..., StudyStorage], postgres_server: Any
) -> None:
    def give_up(error: DatabaseError) -> None:
        raise error

    storage = open_storage(outage_seconds=600.0, on_outage=give_up)
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], next(names))
    postgres_server.stop()
    try:
        with pytest.raises(DatabaseError, match="no answer"):
            storage.create_new_trial(study_id)
    finally:
        postgres_server.start()


def test_lock_is_taken_again_though_the_server_still_sees_its_old_session(
    wire: Wire, url: URL, open_storage: Callable[..., StudyStorage]
) -> None:
    with StudyLock(Database(url.set(port=wire.port)), "mito") as lock:
        storage = open_storage(outage_seconds=60.0, on_return=lock.keep)
        study_id = storage.create_new_study([StudyDirection.MAXIMIZE], next(names))
        wire.cut_at("SELECT 1", delivered=False, noticed_after_seconds=30.0)
        assert not lock.held()
        wire.cut_at("COMMIT", delivered=True)
        storage.create_new_trial(study_id)
        assert lock.held()
        assert len(storage.get_all_trials(study_id)) == 1
        with pytest.raises(StudyLocked):
            StudyLock(Database(url), "mito").acquire()
