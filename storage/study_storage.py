"""The coordinator's storage: studies in memory, written through to the database in few steps."""

import copy
import json
import threading
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Table

from storage.database import Database
from storage.errors import DatabaseError, StudyDeleted, StudyLocked
from storage.fence import Fence
from storage.known_study import KnownStudy, changed, own_copy
from storage.new_trial import build_trial
from storage.studies import open_study_storage
from storage.study_reading import find_study_of, read_news, read_study
from storage.tables import STUDY_SYSTEM_ATTRIBUTES, STUDY_USER_ATTRIBUTES, check_key, check_step
from storage.transactions import Transactions
from storage.trial_rows import add_trial, take_trial, write_pending
from storage.upserts import write_rows

T = TypeVar("T")
P = ParamSpec("P")


class StudyStorage(BaseStorage):
    """Optuna's storage for the one process that runs the trials of its studies.

    Studies are read once and then answered from memory. What is written to a trial is queued, and
    goes to the database with the next change of a trial's state: that one is durable on return.
    Everything is kept in Optuna's own tables, so that any other program of Optuna's reads and
    writes the same studies; what those have written comes in with `refresh`.
    """

    def __init__(
        self,
        database: Database,
        *,
        patience_seconds: float = 10.0,
        outage_seconds: float = 0.0,
        on_outage: Callable[[DatabaseError], None] = lambda error: None,
        on_return: Callable[[], None] = lambda: None,
    ) -> None:
        """Opens the database, and creates its tables where it is new.

        Args:
            database: Where the studies are kept.
            patience_seconds: How long a server that does not answer is asked again now.
            outage_seconds: How long one that goes away later is waited for.
            on_outage: Called before every pause of that waiting with what is wrong; may raise.
            on_return: Called when the server is back, before anything is written; may raise.

        Raises:
            DatabaseError: The database cannot be reached or used.
        """
        self._database = database
        self._outage_seconds = outage_seconds
        self._backend = open_study_storage(database, patience_seconds=patience_seconds)
        self._transactions = Transactions(
            database,
            self._backend.engine,
            outage_seconds=outage_seconds,
            on_outage=on_outage,
            on_return=on_return,
        )
        self._lock = threading.RLock()
        self._fence = Fence()
        self._studies: dict[int, KnownStudy] = {}
        self._together = 0

    def __getstate__(self) -> dict[str, Any]:
        self.flush()
        return {
            "database": self._database,
            "outage_seconds": self._outage_seconds,
            "generations": dict(self._fence.generations),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        copied = StudyStorage(state["database"], outage_seconds=state["outage_seconds"])
        copied._fence.generations.update(state["generations"])
        self.__dict__.update(copied.__dict__)

    def claim(self, study_name: str) -> int:
        """Makes this the study's only coordinator: whoever claimed it before writes nothing more.

        Returns:
            The study's generation, one more than before.

        Raises:
            KeyError: There is no study of that name.
            DatabaseError: The database cannot be used.
        """
        with self._lock:
            self.flush()
            study_id = self.get_study_id_from_name(study_name)
            generation = self._transactions.write(lambda c: self._fence.claim(c, study_id))
            self._fence.generations[study_id] = generation
            # What was read before may have changed until now, and cannot any more.
            self._studies.pop(study_id, None)
            return generation

    def refresh(self) -> None:
        """Writes what is queued, and reads what others have written to the studies in use.

        It raises what `flush` raises.
        """
        with self._lock:
            for study in list(self._studies.values()):
                self._refresh(study)

    def flush(self) -> None:
        """Writes what is queued; what cannot be written stays queued.

        Raises:
            StudyDeleted: Somebody deleted or renamed the study.
            StudyLocked: Another coordinator has claimed it.
            DatabaseError: The database cannot be used.
        """
        with self._lock:
            for study in self._studies.values():
                if study.pending:
                    self._write(study, lambda c: None)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Queues ends of trials, as reports: they are durable when one begins or the block ends."""
        with self._lock:
            self._together += 1
        try:
            yield
        finally:
            with self._lock:
                self._together -= 1
        with self._lock:  # Not where the block has failed: what was given up is not tried again.
            if not self._together and any(s.pending.ended for s in self._studies.values()):
                self.flush()

    def close(self) -> None:
        """Writes what is queued and gives back all connections.

        Raises:
            DatabaseError: It cannot be written, which no call before has said.
        """
        with self._lock:
            # What is lost was said when it was noticed.
            self._studies = {s.id: s for s in self._studies.values() if not s.lost}
            told = self._transactions.given_up
            try:
                self.flush()
            except DatabaseError:
                if not told:
                    raise
            finally:
                self._transactions.close()
                self._backend.remove_session()
                self._backend.engine.dispose()

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        """Creates a study."""
        with self._lock:
            return self._reach(self._backend.create_new_study, directions, study_name)

    def delete_study(self, study_id: int) -> None:
        """Deletes a study, and what is queued for it."""
        with self._lock:
            self._reach(self._backend.delete_study, study_id)
            self._studies.pop(study_id, None)
            self._fence.generations.pop(study_id, None)

    def get_all_studies(self) -> list[FrozenStudy]:
        """Reads all studies, those that are not in use too."""
        with self._lock:
            return self._reach(self._backend.get_all_studies)

    def get_study_id_from_name(self, study_name: str) -> int:
        """Returns the id of the study of that name."""
        with self._lock:
            for study in self._studies.values():
                if study.name == study_name:
                    return study.id
            return self._reach(self._backend.get_study_id_from_name, study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """Returns the name of a study."""
        with self._lock:
            if study_id in self._studies:
                return self._studies[study_id].name
            return self._reach(self._backend.get_study_name_from_id, study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Returns whether less or more is better, for each objective."""
        with self._lock:
            if study_id in self._studies:
                return self._studies[study_id].directions.copy()
            return self._reach(self._backend.get_study_directions, study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Returns the attributes that people and programs gave a study."""
        with self._lock:
            return self._study(study_id).user_attrs

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Returns the attributes that Optuna and its kin gave a study."""
        with self._lock:
            return self._study(study_id).system_attrs

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Gives a study an attribute, durable on return."""
        with self._lock:
            study = self._study(study_id)
            new = self._write_attribute(study, STUDY_USER_ATTRIBUTES, key, value)
            study.user_attrs = study.user_attrs | new

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Gives a study an attribute of Optuna's, durable on return."""
        with self._lock:
            study = self._study(study_id)
            new = self._write_attribute(study, STUDY_SYSTEM_ATTRIBUTES, key, value)
            study.system_attrs = study.system_attrs | new

    def _write_attribute(
        self, study: KnownStudy, table: Table, key: str, value: Any
    ) -> dict[str, Any]:
        check_key(key)
        text = json.dumps(value)
        row = {"study_id": study.id, "key": key, "value_json": text}
        self._write(study, lambda c: write_rows(c, [(table, [row])]))
        return {key: json.loads(text)}

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Adds a trial, RUNNING or as the template is; durable on return."""
        trial = build_trial(template_trial)
        with self._lock:
            study = self._study(study_id)
            for name, distribution in trial.distributions.items():
                study.check_compatible(name, distribution)
            trials = self._write(study, lambda c: add_trial(c, study, trial), lock=True)
            study.put(trials)
            return trials[-1]._trial_id

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Begins or ends a trial; durable on return, but for an end inside of `together`."""
        with self._lock:
            study, trial = self._updatable(trial_id)
            if state is TrialState.RUNNING:
                return trial.state is TrialState.WAITING and self._begin(study, trial)
            ended = changed(
                trial,
                state=state,
                values=trial.values if values is None else [float(value) for value in values],
                datetime_complete=datetime.now() if state.is_finished() else None,
            )
            self._end(study, ended)
            return True

    def _begin(self, study: KnownStudy, trial: FrozenTrial) -> bool:
        """Takes a waiting trial, and returns whether nobody else has taken it before."""
        begun = changed(trial, state=TrialState.RUNNING, datetime_start=datetime.now())
        now = self._write(study, lambda c: take_trial(c, study, begun))
        study.put([now])
        return now is begun

    def _end(self, study: KnownStudy, ended: FrozenTrial) -> None:
        trial_id = ended._trial_id
        study.pending.ended[trial_id] = ended
        if not self._together:
            try:
                self._write(study, lambda c: None)
            finally:
                study.pending.ended.pop(trial_id, None)
            # Somebody else may have told it meanwhile: then it has ended as they said.
            self.check_trial_is_updatable(trial_id, study.trial(trial_id).state)
        study.put([ended])

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """Gives a trial a parameter's value, queued."""
        check_key(param_name)
        with self._lock:
            study, trial = self._updatable(trial_id)
            study.set_param(trial, param_name, param_value_internal, distribution)

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        """Reports to a trial, queued."""
        check_step(step)
        with self._lock:
            study, trial = self._updatable(trial_id)
            study.report(trial, int(step), float(intermediate_value))

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Gives a trial an attribute, queued."""
        check_key(key)
        with self._lock:
            study, trial = self._updatable(trial_id)
            study.set_user_attr(trial, key, json.dumps(value))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Gives a trial an attribute of Optuna's, queued."""
        check_key(key)
        with self._lock:
            study, trial = self._updatable(trial_id)
            study.set_system_attr(trial, key, json.dumps(value))

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Returns a trial; one that is not finished as a copy, since Optuna writes into it."""
        with self._lock:
            trial = self._study_with(trial_id).trial(trial_id)
            return trial if trial.state.is_finished() else own_copy(trial)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """Returns the id of the trial of that number."""
        with self._lock:
            return self._study(study_id).trial_numbered(trial_number)._trial_id

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Returns the trials of a study, in the order of their ids."""
        with self._lock:
            trials = self._study(study_id).trials(states)
        return copy.deepcopy(trials) if deepcopy else trials

    # Between memory and database.

    def _reach(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        # Optuna's own storage does what is rare.
        return self._transactions.reach(lambda: call(*arguments, **named))

    def _study(self, study_id: int) -> KnownStudy:
        if study_id not in self._studies:
            study = self._transactions.read(lambda c: read_study(c, study_id))
            self._studies[study_id] = study
        return self._studies[study_id]

    def _study_with(self, trial_id: int) -> KnownStudy:
        for study in self._studies.values():
            if trial_id in study:
                return study
        study_id = self._transactions.read(lambda c: find_study_of(c, trial_id))
        if study_id in self._studies:
            self._refresh(self._studies[study_id])
        if study_id is None or trial_id not in (study := self._study(study_id)):
            raise KeyError(f"no trial has the id {trial_id}")
        return study

    def _updatable(self, trial_id: int) -> tuple[KnownStudy, FrozenTrial]:
        study = self._study_with(trial_id)
        trial = study.trial(trial_id)
        self.check_trial_is_updatable(trial_id, trial.state)
        return study, trial

    def _write(
        self, study: KnownStudy, body: Callable[[Connection], T], *, lock: bool = False
    ) -> T:
        """Runs `body` and writes all that is pending of its study in one transaction."""

        def work(connection: Connection) -> tuple[list[FrozenTrial], T]:
            self._fence.check(connection, study, lock=lock)
            return write_pending(connection, study), body(connection)

        try:
            told, result = self._transactions.write(work)
        except (StudyDeleted, StudyLocked):
            study.lost = True
            raise
        study.pending.clear()
        study.put(told)
        return result

    def _refresh(self, study: KnownStudy) -> None:
        if study.pending:
            news = self._write(study, lambda c: read_news(c, study))
        else:
            news = self._transactions.read(lambda c: read_news(c, study))
        news.apply(study)
        if not self._fence.holds(study):
            raise self._fence.taken_over(study)
