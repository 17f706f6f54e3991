"""What becomes of a trial whose worker meets trouble, without a network."""

from __future__ import annotations

import pytest

from search.assignment import Failure
from search.runner import _guarded
from storage.errors import CheckpointError
from trainer.errors import Diverged


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (CheckpointError("epoch-3.npz could not be written"), "storage"),
        (Diverged("the loss became nan in epoch 2"), "diverged"),
        (ZeroDivisionError("by zero"), "error"),
    ],
)
def test_failures_are_told_apart(error: Exception, kind: str) -> None:
    def call() -> None:
        raise error

    failure = _guarded(call)
    assert isinstance(failure, Failure)
    assert failure.kind == kind
    assert str(error) in failure.reason
    assert "Traceback" in failure.traceback or kind != "error"


def test_errors_of_one_place_have_one_cause_whatever_they_say() -> None:
    def call(text: str) -> None:
        raise OSError(text)

    first, second = (_guarded(lambda text=text: call(text)) for text in ("one", "two"))  # type: ignore[misc]
    assert isinstance(first, Failure)
    assert isinstance(second, Failure)
    assert first.reason != second.reason
    assert first.cause == second.cause != ""


def test_what_goes_well_is_handed_on() -> None:
    assert _guarded(lambda: 3) == 3
