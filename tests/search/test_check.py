"""What `check` shows of a search before it is started; its figures are tested in a real one."""

from __future__ import annotations

from typing import Any

import pytest

from search.presentation import present_check

FACTS: dict[str, Any] = {
    "notes": ["volume: a note"],
    "database": "sqlite",
    "device": {"name": "2 cores", "precision": "float32", "slots": 2},
    "nodes": None,
    "rungs": [[1, 3]],
    "parameters": 1000,
    "epoch_seconds": 2.0,
    "finalists": {"count": 3, "seeds": 2, "folds": 1, "repeats": 6},
    "hours": {"search_expected": 1.0, "search_at_most": 2.0, "finalists": 0.5, "final": 0.25},
    "cost": {"device_hours": 1.0, "money": None},
    "disk_bytes": 1e6,
}


def test_the_repeats_of_the_finalists_are_told_first(capsys: pytest.CaptureFixture[str]) -> None:
    present_check(FACTS)
    shown = " ".join(capsys.readouterr().out.split())
    assert "finalists: 6 trials at full length, beside the budget: about 30 minutes" in shown
    present_check(FACTS | {"finalists": {"repeats": 0}})
    assert "finalists" not in capsys.readouterr().out
