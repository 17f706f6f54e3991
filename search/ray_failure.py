"""Why a call to a Ray actor has failed."""

from __future__ import annotations

from pathlib import Path

from ray.exceptions import (
    ActorUnavailableError,
    ActorUnschedulableError,
    LocalRayletDiedError,
    NodeDiedError,
    OutOfMemoryError,
    OwnerDiedError,
    RayActorError,
)

from search.assignment import Failure
from search.memory_watch import read_memory_record

_GONE = (
    RayActorError,
    NodeDiedError,
    LocalRayletDiedError,
    OwnerDiedError,
    ActorUnschedulableError,
)


def explain_failure(error: BaseException, record: Path) -> Failure:
    """Tells a worker that was lost from one that ran out of memory, and both from an error.

    Args:
        error: What the call has raised.
        record: The file that kept what the worker's process used.
    """
    if isinstance(error, RayActorError) and error.actor_init_failed:
        return Failure("error", _lines(error)[-1], str(error), "a worker cannot be started")
    if isinstance(error, (OutOfMemoryError, *_GONE)):
        known = read_memory_record(record)
        memory = known and known.explain_death()
        if memory:
            return Failure("memory", memory)
        if isinstance(error, OutOfMemoryError):
            full = f"the memory of the worker's node was full: {_why(error)}"
            # A worker well within its own limit is not what has filled it.
            if known and known.limit is not None:
                return Failure("lost", full, cause="a full node")
            return Failure("memory", full)
        return Failure("lost", f"the worker was lost: {_why(error)}", cause="a lost worker")
    cause = f"{type(getattr(error, 'cause', error)).__name__} in a worker"
    return Failure("error", _lines(error)[0], str(error), cause)


def _why(error: BaseException) -> str:
    """What Ray says, without its list of possible causes."""
    if isinstance(error, ActorUnavailableError):
        return "its node does not answer"
    lines = _lines(error)
    return next((line for line in lines if "because" in line), lines[0]).split(". ")[0]


def _lines(error: BaseException) -> list[str]:
    return (str(error).strip() or type(error).__name__).splitlines()
