"""A lost worker, a full memory and an error are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    NodeDiedError,
    OutOfMemoryError,
    RayTaskError,
)

from search import ray_failure
from search.memory_watch import MemoryRecord
from search.ray_failure import explain_failure

PATH = Path("nowhere/worker.json")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ActorDiedError(), "lost"),
        (ActorUnavailableError("the actor is unavailable", b"0" * 16), "lost"),
        (NodeDiedError("the node is dead"), "lost"),
        (OutOfMemoryError("killed as the node ran low on memory"), "memory"),
        (ValueError("cannot be read"), "error"),
    ],
)
def test_what_a_call_raised_is_told_by_its_kind(error: Exception, kind: str) -> None:
    failure = explain_failure(error, PATH)
    assert failure.kind == kind
    assert "\n" not in failure.reason


def test_a_full_node_is_not_the_fault_of_a_worker_within_its_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds = {}
    for limit in (100, None):
        record = MemoryRecord(0, 50, limit, 0.5)
        monkeypatch.setattr(ray_failure, "read_memory_record", {PATH: record}.get)
        kinds[limit] = explain_failure(OutOfMemoryError("killed"), PATH).kind
    assert kinds == {100: "lost", None: "memory"}


def test_a_worker_that_cannot_be_made_is_an_error_with_its_cause() -> None:
    cause = RayTaskError("Runner", "Traceback\nImportError: no trainer", ImportError("no trainer"))
    failure = explain_failure(ActorDiedError(cause), PATH)
    assert failure.kind == "error"
    assert "ImportError: no trainer" in failure.reason
    assert "Traceback" in failure.traceback


@pytest.mark.parametrize("error", [ActorDiedError(), OutOfMemoryError("killed")])
def test_the_last_record_explains_a_death(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = MemoryRecord(0, 95, 100, 0.5)
    monkeypatch.setattr(ray_failure, "read_memory_record", {PATH: record}.get)
    failure = explain_failure(error, PATH)
    assert failure.kind == "memory"
    assert "of its limit" in failure.reason
