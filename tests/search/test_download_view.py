from __future__ import annotations

import io

import pytest

from search import download_view
from search.download_view import show_transfers
from search.terminal import Terminal


def transfers(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> str:
    written = io.StringIO()
    console = Terminal(file=written, force_terminal=terminal, width=100, stderr=True)
    monkeypatch.setattr(download_view, "ERR", console)
    monkeypatch.setattr(download_view, "say", lambda line: console.print(line))
    with show_transfers() as tell:
        for name, total in (("one.tif", 5_000_000), ("two.tif", None)):
            for done in (0, 2_000_000, 5_000_000):
                tell(name, done, total)
    return written.getvalue()


def test_a_log_gets_a_line_for_each_beginning_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = transfers(monkeypatch, terminal=False).splitlines()
    assert lines == [
        "one.tif: 0.0 MB of 5.0 MB",
        "one.tif: complete",
        "two.tif: 0.0 MB of an unknown size",
    ]


def test_a_terminal_gets_a_bar_for_each_file(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = transfers(monkeypatch, terminal=True)
    assert "one.tif" in shown
    assert "two.tif" in shown
    assert "5.0/5.0 MB" in shown
    assert "complete" not in shown
