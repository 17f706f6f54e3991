"""What goes wrong in a trial is told apart."""

from __future__ import annotations

import pytest

from search.assignment import Failure
from search.guard import guarded
from storage.errors import CheckpointError
from trainer.errors import Diverged


class ResourceExhaustedError(Exception):
    """By its name it is TensorFlow's."""


class GpuFullError(ResourceExhaustedError):
    pass


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (CheckpointError("epoch-3.npz could not be written"), "storage"),
        (Diverged("the loss became nan in epoch 2"), "diverged"),
        (MemoryError("unable to allocate 3 GiB"), "memory"),
        (GpuFullError("OOM when allocating tensor"), "memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: out of memory"), "memory"),
        (ZeroDivisionError("by zero"), "error"),
    ],
)
def test_failures_are_told_apart(error: Exception, kind: str) -> None:
    def call() -> None:
        raise error

    failure = guarded(call)
    assert isinstance(failure, Failure)
    assert failure.kind == kind
    assert str(error) in failure.reason
    assert "\n" not in failure.reason
    assert "Traceback" in failure.traceback or kind in ("storage", "diverged")


def test_errors_of_one_place_have_one_cause_whatever_they_say() -> None:
    def call(text: str) -> None:
        raise OSError(text)

    first, second = (guarded(lambda text=text: call(text)) for text in ("one", "two"))  # type: ignore[misc]
    assert isinstance(first, Failure)
    assert isinstance(second, Failure)
    assert first.reason != second.reason
    assert first.cause == second.cause != ""


def test_what_goes_well_is_handed_on() -> None:
    assert guarded(lambda: 3) == 3
