from __future__ import annotations

import io

import pytest
from rich.console import Console

from search import terminal_view
from search.prediction_view import PredictionView


def test_a_terminal_shows_a_bar_for_each_thing_that_is_done() -> None:
    out = io.StringIO()
    with PredictionView(Console(file=out, force_terminal=True, width=100)) as view:
        view.show("predict", 3, 8)
        view.show("write", 1, 8)
        view.show("predict", 8, 8)
    shown = out.getvalue()
    assert "predict" in shown
    assert "8/8" in shown
    assert "1/8" in shown


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 16.0, 16.5, 17.0, 32.0, 32.5])
    monkeypatch.setattr(terminal_view.time, "monotonic", lambda: next(clock))
    out = io.StringIO()
    with PredictionView(Console(file=out)) as view:
        for done in range(1, 5):
            view.show("predict", done, 8)
    assert out.getvalue().splitlines() == [
        "predict: 2 of 8 sections",
        "predict: 4 of 8 sections",
    ]
