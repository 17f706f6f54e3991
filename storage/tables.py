"""The tables that Optuna keeps studies in, and how it writes a number or a time there."""

from datetime import UTC, datetime
from typing import Any

from optuna.storages._rdb import models
from sqlalchemy import Table

STUDIES: Table = models.StudyModel.__table__
STUDY_DIRECTIONS: Table = models.StudyDirectionModel.__table__
STUDY_USER_ATTRIBUTES: Table = models.StudyUserAttributeModel.__table__
STUDY_SYSTEM_ATTRIBUTES: Table = models.StudySystemAttributeModel.__table__
TRIALS: Table = models.TrialModel.__table__
PARAMS: Table = models.TrialParamModel.__table__
VALUES: Table = models.TrialValueModel.__table__
REPORTS: Table = models.TrialIntermediateValueModel.__table__
USER_ATTRIBUTES: Table = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRIBUTES: Table = models.TrialSystemAttributeModel.__table__

_LONGEST_KEY = int(models.MAX_INDEXED_STRING_LENGTH)
_LARGEST_STEP = 2**31 - 1


def stored_value(value: float) -> tuple[float | None, Any]:
    """How an objective's value is stored: infinities by their kind."""
    stored: tuple[float | None, Any] = models.TrialValueModel.value_to_stored_repr(value)
    return stored


def stored_report(value: float) -> tuple[float | None, Any]:
    """How an intermediate value is stored: infinities and NaN by their kind."""
    model = models.TrialIntermediateValueModel
    stored: tuple[float | None, Any] = model.intermediate_value_to_stored_repr(value)
    return stored


def stored_time(time: datetime | None) -> datetime | None:
    """How a local time is stored: as UTC, and without saying so."""
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)


def local_time(stored: datetime | None) -> datetime | None:
    """The local time, without a zone, that was stored."""
    return None if stored is None else stored.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


def check_key(key: str) -> None:
    """Refuses a name that the tables have no room for: in the queue it would stop all that follows.

    Raises:
        ValueError: It is too long, or no text.
    """
    if len(key) > _LONGEST_KEY or "\0" in key:
        raise ValueError(
            f"expected a name of at most {_LONGEST_KEY} characters without NUL, got {key[:40]!r}"
        )


def check_step(step: int) -> None:
    """Refuses a step that the tables have no room for.

    Raises:
        ValueError: It is no 32-bit number.
    """
    if not -_LARGEST_STEP <= step <= _LARGEST_STEP:
        raise ValueError(f"expected a step of at most {_LARGEST_STEP}, got {step}")
