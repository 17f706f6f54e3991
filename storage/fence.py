"""What keeps a coordinator from writing to a study that is gone, or another one's by now."""

import json
from typing import Any

from sqlalchemy import Connection, bindparam, select

from storage.errors import StudyDeleted, StudyLocked
from storage.known_study import KnownStudy
from storage.tables import STUDIES, STUDY_SYSTEM_ATTRIBUTES
from storage.upserts import write_rows

GENERATION = "unet-search:generation"
"""The study's attribute that counts its coordinators."""

# Built once, since building a statement costs more than running it.
_NAME = select(STUDIES.c.study_name).where(STUDIES.c.study_id == bindparam("of_study"))
# Against others who add a trial, not against those who refer to the study.
_NAME_LOCKED = _NAME.with_for_update(key_share=True)
_GENERATION = (
    select(STUDY_SYSTEM_ATTRIBUTES.c.value_json)
    .where(
        STUDY_SYSTEM_ATTRIBUTES.c.study_id == bindparam("of_study"),
        STUDY_SYSTEM_ATTRIBUTES.c.key == GENERATION,
    )
    .with_for_update(read=True)
)


class Fence:
    """The generations under which studies were claimed; others may be written by anybody."""

    def __init__(self) -> None:
        self.generations: dict[int, int] = {}

    def check(self, connection: Connection, study: KnownStudy, *, lock: bool = False) -> None:
        """Makes sure that a transaction may write, until it ends.

        Args:
            connection: In a transaction.
            study: To write to.
            lock: Whether trials are added, which one transaction at a time may do.

        Raises:
            StudyDeleted: The study is not there any more.
            StudyLocked: Another coordinator has claimed it since.
        """
        claimed = self.generations.get(study.id)
        if lock or claimed is None:
            check_existence(connection, study, lock=lock)
        if claimed is not None and _read_generation(connection, study.id) != claimed:
            check_existence(connection, study)
            raise self.taken_over(study)

    @staticmethod
    def claim(connection: Connection, study_id: int) -> int:
        """Raises a study's generation and returns it; it holds once the transaction is committed.

        Raises:
            KeyError: There is no study of that id.
        """
        if connection.execute(_NAME_LOCKED, {"of_study": study_id}).scalar() is None:
            raise KeyError(f"no study has the id {study_id}")
        # Waits for the transactions that have checked the one before.
        generation = (_read_generation(connection, study_id) or 0) + 1
        row: dict[str, Any] = {
            "study_id": study_id,
            "key": GENERATION,
            "value_json": json.dumps(generation),
        }
        write_rows(connection, [(STUDY_SYSTEM_ATTRIBUTES, [row])])
        return generation

    def holds(self, study: KnownStudy) -> bool:
        """Whether a study, as it was read last, is not another coordinator's."""
        claimed = self.generations.get(study.id)
        return claimed is None or study.system_attrs.get(GENERATION) == claimed

    @staticmethod
    def taken_over(study: KnownStudy) -> StudyLocked:
        """Returns the error for a study that is another coordinator's."""
        return StudyLocked(
            f"study {study.name!r} was taken over by another coordinator: this one has stopped "
            "writing to it; stop that one first to go on here"
        )


def check_existence(connection: Connection, study: KnownStudy, *, lock: bool = False) -> None:
    """Makes sure that a study is there.

    Raises:
        StudyDeleted: It is not, or its number was given to another one.
    """
    statement = _NAME_LOCKED if lock else _NAME
    if connection.execute(statement, {"of_study": study.id}).scalar() != study.name:
        raise study_deleted(study)


def study_deleted(study: KnownStudy) -> StudyDeleted:
    """Returns the error for a study that is gone."""
    return StudyDeleted(
        f"study {study.name!r} was deleted or renamed while it was in use: nothing more is written"
    )


def _read_generation(connection: Connection, study_id: int) -> int | None:
    text = connection.execute(_GENERATION, {"of_study": study_id}).scalar()
    value = None if text is None else json.loads(text)
    return value if isinstance(value, int) else None
