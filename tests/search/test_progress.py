from __future__ import annotations

import io
import re
import sys

import pytest
from rich.console import Console

from search import progress
from search.budget import Budget, Spent
from search.progress import Progress
from search.standing import Standing


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def standing(**changes: object) -> Standing:
    values: dict[str, object] = {
        "running": {7: 2, 8: 1},
        "counts": {"COMPLETE": 3, "PRUNED": 4, "FAIL": 1},
        "best": (5, 0.8765),
        "spent": Spent(trials=10, epochs=40),
        "epochs_each": 6,
    }
    return Standing(**{**values, **changes})  # type: ignore[arg-type]


def plain(budget: Budget) -> tuple[Progress, io.StringIO]:
    text = io.StringIO()
    return Progress("mito", budget, Console(file=text, width=40)), text


def test_a_line_tells_how_the_search_stands(clock: Clock) -> None:
    shown, text = plain(Budget(trials=12))
    with shown:
        shown.show(standing())
    (line,) = text.getvalue().splitlines()
    assert line.startswith("mito: trials 10/12, running 2, done 3, pruned 4, failed 1, ")
    assert "best Dice 0.8765 (trial 5), epochs 40, elapsed 0:00, left -" in line


def test_paused_trials_are_not_among_the_pruned_ones(clock: Clock) -> None:
    shown, text = plain(Budget(trials=12))
    shown.show(standing(paused=2))
    assert "pruned 4, paused 2, failed 1, " in text.getvalue()
    # One that is paused has ended for now, which is a line of its own.
    shown.show(standing(paused=3))
    assert len(text.getvalue().splitlines()) == 2


def test_before_a_trial_is_finished_the_leading_value_is_shown(clock: Clock) -> None:
    shown, text = plain(Budget(trials=12))
    shown.show(standing(best=None, leading=0.5))
    shown.show(standing(best=None, leading=None, counts={}))
    first, second = text.getvalue().splitlines()
    assert "best Dice 0.5000 (so far)" in first
    assert "best Dice -," in second


def test_lines_come_when_a_trial_ends_and_now_and_then(clock: Clock) -> None:
    shown, text = plain(Budget(trials=12))
    for seconds, counts, lines in [
        (0, {"COMPLETE": 3}, 1),
        (1, {"COMPLETE": 3}, 1),
        (1, {"COMPLETE": 4}, 2),
        (5, {"COMPLETE": 4}, 2),
        (15, {"COMPLETE": 4}, 3),
    ]:
        clock.now += seconds
        shown.show(standing(counts=counts))
        assert len(text.getvalue().splitlines()) == lines


def left(text: io.StringIO) -> str:
    match = re.search(r"left (\S+)$", text.getvalue().splitlines()[-1])
    assert match is not None
    return match[1]


def after(clock: Clock, budget: Budget, seconds: float, epochs: int, **changes: object) -> str:
    """The time left after so many more epochs in so many seconds."""
    shown, text = plain(budget)
    shown.show(standing(counts={}, running={}, spent=Spent()))
    clock.now += seconds
    spent = Spent(trials=2, epochs=epochs, seconds=seconds)
    shown.show(
        standing(**{"counts": {"COMPLETE": 1}, "running": {1: 2}, "spent": spent, **changes})
    )
    return left(text)


def test_the_time_left_follows_the_pace_of_the_epochs(clock: Clock) -> None:
    assert after(clock, Budget(epochs=20), seconds=100, epochs=10) == "~1:40"
    assert after(clock, Budget(epochs=10), seconds=100, epochs=10) == "~0:00"


def test_the_time_left_follows_the_length_of_the_trials(clock: Clock) -> None:
    # 10 s an epoch: 4 epochs of the trial under way and 2 trials of 6 epochs.
    assert after(clock, Budget(trials=4), seconds=80, epochs=8) == "~2:40"


def test_the_first_limit_to_be_reached_ends_the_time_left(clock: Clock) -> None:
    assert after(clock, Budget(hours=1), seconds=600, epochs=10) == "~50:00"
    assert after(clock, Budget(hours=10, epochs=11), seconds=600, epochs=10) == "~1:00"
    assert after(clock, Budget(hours=10), seconds=600, epochs=10) == "~9:50:00"


def test_epochs_of_earlier_runs_do_not_count_as_this_ones_pace(clock: Clock) -> None:
    shown, text = plain(Budget(epochs=120))
    shown.show(standing(spent=Spent(epochs=100)))
    clock.now += 100
    shown.show(standing(spent=Spent(epochs=110), counts={"COMPLETE": 9}))
    assert left(text) == "~1:40"


def test_what_is_to_come_is_told_in_device_hours_and_money(clock: Clock) -> None:
    shown, text = plain(Budget(trials=12, price_per_device_hour=3.0))
    # Two devices for an hour, of which half the time is gone.
    spent = Spent(trials=6, epochs=40, seconds=3600, device_seconds=7200)
    shown.show(standing(counts={}, running={}, spent=Spent()))
    clock.now += 3600
    shown.show(standing(counts={"COMPLETE": 6}, running={}, spent=spent, epochs_each=40 / 6))
    line = text.getvalue().splitlines()[-1]
    assert "cost 6.00" in line
    assert "to come 2.00 device hours for 6.00, left ~1:00:00" in line
    remaining = shown.remaining(standing(spent=Spent()))
    assert remaining is None or remaining.device_seconds is None


def test_a_search_goes_on_when_nobody_watches_it_any_more(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    with Progress("mito", Budget(trials=12)) as shown:
        for done in (3, 4, 5):
            shown.show(standing(counts={"COMPLETE": done}))


@pytest.mark.parametrize("width", [80, 96, 120])
def test_a_terminal_gets_one_table_with_every_value_whole(clock: Clock, width: int) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=width, color_system=None)
    with Progress("mito", Budget(trials=12), console) as shown:
        for done in (3, 4):
            clock.now += 10
            shown.show(standing(counts={"COMPLETE": done}, best=None, leading=0.4321))
    last = text.getvalue().rsplit("mito", 1)[1]
    for name in ("running", "done", "pruned", "failed", "best Dice", "epochs", "elapsed", "left"):
        assert name in last
    assert "0.4321 (so far)" in last
    assert "…" not in last
