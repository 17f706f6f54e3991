from __future__ import annotations

import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from search.interruption import Interruption

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_asks_for_the_end_and_two_force_it(number: signal.Signals) -> None:
    lines: list[str] = []
    with Interruption(lines.append) as interruption:
        assert not interruption.requested()
        signal.raise_signal(number)
        assert interruption.requested()
        assert len(lines) == 1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert "again ends at once" in lines[0]


def test_either_signal_is_the_second_one() -> None:
    with Interruption(lambda line: None):
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_signals_are_handled_as_before_once_it_is_over() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interruption(lambda line: None):
        assert signal.getsignal(signal.SIGINT) != before[0]
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_the_announcement_goes_to_stderr() -> None:
    code = (
        "import signal; from search.interruption import Interruption\n"
        "with Interruption(): signal.raise_signal(signal.SIGINT)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("interrupted: ")
    assert done.stderr.count("\n") == 1


class Busy(io.StringIO):
    """A stream that is in the middle of a write."""

    def write(self, text: str) -> int:
        raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")


def test_a_signal_in_the_middle_of_a_line_does_not_end_the_search(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", Busy())
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)
    assert interruption.requested()
    assert capfd.readouterr().err.startswith("interrupted: ")


def test_a_terminal_that_is_gone_does_not_end_the_search() -> None:
    code = (
        "import os, signal; from search.interruption import Interruption\nos.close(2)\n"
        "with Interruption() as asked: signal.raise_signal(signal.SIGINT)\n"
        "print(asked.requested())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "True\n")
