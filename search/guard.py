"""What goes wrong in a trial, as plain data."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

from search.assignment import Failure
from storage.errors import CheckpointError
from trainer.errors import Diverged, TooLarge

_T = TypeVar("_T")
# TensorFlow's error for a GPU that is full, and what XLA's own errors say.
_EXHAUSTED = "ResourceExhaustedError"
_EXHAUSTED_TEXT = "RESOURCE_EXHAUSTED"


def guarded(call: Callable[[], _T]) -> _T | Failure:
    """Calls, and returns what it raises as a failure of its kind.

    It concerns this trial alone, and crosses from process to process.
    """
    try:
        return call()
    except Diverged as error:
        return Failure("diverged", str(error))
    except TooLarge as error:
        return Failure("memory", str(error))
    except CheckpointError as error:
        return Failure("storage", str(error))
    except Exception as error:  # whatever it is, it ends this trial and not the worker
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        if is_out_of_memory(error):
            return Failure("memory", f"out of memory: {reason}", traceback.format_exc())
        place = traceback.extract_tb(error.__traceback__)[-1]
        cause = f"{type(error).__name__} at {place.filename}:{place.lineno}"
        return Failure("error", reason, traceback.format_exc(), cause)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that something needs more memory than there is."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"MemoryError", _EXHAUSTED}) or _EXHAUSTED_TEXT in str(error)
