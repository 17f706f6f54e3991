"""Each trial has a log of its own, and its last lines are quick to read."""

from __future__ import annotations

import logging
import re
import warnings
from pathlib import Path

import pytest

from search.trial_log import TrialLog, read_log_tail


def test_every_line_says_when_and_what_it_is_about(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "logs", "mito")
    log.write(12, 0, "begun")
    log.write(12, 3, "failed\nTraceback\n  File x")
    lines = (tmp_path / "logs" / "00012.log").read_text().splitlines()
    pattern = (
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d mito trial 12 epoch [03]: \S* *.*"
    )
    assert len(lines) == 4
    assert all(re.fullmatch(pattern, line) for line in lines)
    assert lines[-1].endswith("epoch 3:   File x")


def test_warnings_and_log_records_are_taken_along(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    warnings.simplefilter("always")
    log = TrialLog(tmp_path, "mito")
    logger = logging.getLogger("somewhere")
    logger.warning("before")
    with log.capturing(0, lambda: 2):
        warnings.warn("rather slow", UserWarning, stacklevel=1)
        logger.warning("disk at %d %%", 98)
    logger.warning("after")
    first, second = read_log_tail(tmp_path, 0, lines=9)
    assert "trial 0 epoch 2: UserWarning: rather slow" in first
    assert "WARNING somewhere: disk at 98 %" in second
    assert len(recwarn) == 1


def test_the_tail_is_the_last_lines(tmp_path: Path) -> None:
    log = TrialLog(tmp_path, "mito")
    for epoch in range(2000):
        log.write(7, epoch, f"line {epoch}")
    tail = read_log_tail(tmp_path, 7, lines=300)
    assert [line.rsplit(maxsplit=1)[-1] for line in tail] == [str(n) for n in range(1700, 2000)]
    assert len(read_log_tail(tmp_path, 7, lines=5000)) == 2000
    assert read_log_tail(tmp_path, 7, lines=0) == []


def test_a_trial_without_a_log_has_no_tail(tmp_path: Path) -> None:
    assert read_log_tail(tmp_path, 1, lines=5) == []
    assert read_log_tail(tmp_path / "nothing", 1, lines=5) == []


def test_what_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    TrialLog(tmp_path / "file", "mito").write(0, 0, "begun")
    TrialLog(None, "mito").write(0, 0, "begun")


def test_a_line_has_an_end(tmp_path: Path) -> None:
    TrialLog(tmp_path, "mito").write(0, 0, "x" * 100_000)
    (line,) = read_log_tail(tmp_path, 0, lines=5)
    assert len(line) < 3000
