"""The live view of a search in the terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from search.budget import Budget
from search.standing import Standing
from search.terminal import Terminal

_PLAIN_SECONDS = 15.0
_PRIOR_TRIALS = 4


class Progress:
    """Shows how a search stands: redrawn in a terminal, as lines elsewhere."""

    def __init__(self, title: str, budget: Budget, console: Console | None = None) -> None:
        self._title = title
        self._budget = budget
        self._console = console or Terminal(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._started = time.monotonic()
        self._epochs_before: int | None = None
        self._shown = -_PLAIN_SECONDS
        self._ended = -1

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, standing: Standing) -> None:
        """Shows the search as it stands now."""
        if self._epochs_before is None:
            self._epochs_before = standing.spent.epochs
        if self._console.is_terminal:
            self._live.update(self._table(standing), refresh=True)
        else:
            self._print_now_and_then(standing)

    def _print_now_and_then(self, standing: Standing) -> None:
        ended, now = sum(standing.counts.values()) + standing.paused, time.monotonic()
        if ended != self._ended or now - self._shown >= _PLAIN_SECONDS:
            self._console.print(
                f"{self._title}: {self._line(standing)}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
            self._ended, self._shown = ended, now

    def _line(self, standing: Standing) -> str:
        return ", ".join(f"{name} {value}" for name, value in self._cells(standing))

    def _table(self, standing: Standing) -> Table:
        table = Table(
            title=self._title, title_justify="left", expand=False, box=None, pad_edge=False
        )
        cells = self._cells(standing)
        for name, _ in cells:
            table.add_column(name, justify="right", no_wrap=True)
        table.add_row(*(value for _, value in cells))
        return table

    def _cells(self, standing: Standing) -> list[tuple[str, str]]:
        counts, spent = standing.counts, standing.spent
        number, value = standing.best or (None, None)
        best = f"{value:.4f} (trial {number})" if value is not None else "-"
        if number is None and standing.leading is not None:
            best = f"{standing.leading:.4f} (so far)"
        begun = f"{spent.trials}/{self._budget.trials}" if self._budget.trials else spent.trials
        cost = self._budget.cost(spent)
        return [
            ("trials", str(begun)),
            ("running", str(len(standing.running))),
            ("done", str(counts.get("COMPLETE", 0))),
            ("pruned", str(counts.get("PRUNED", 0))),
            *([("paused", str(standing.paused))] if standing.paused else []),
            ("failed", str(counts.get("FAIL", 0))),
            ("best Dice", best),
            ("epochs", str(spent.epochs)),
            *([] if cost is None else [("cost", f"{cost:.2f}")]),
            ("elapsed", _clock(time.monotonic() - self._started)),
            ("left", self._left(standing)),
        ]

    def _left(self, standing: Standing) -> str:
        """The time left, from the pace of this run and the length of the trials that ended."""
        elapsed, spent = time.monotonic() - self._started, standing.spent
        trained = spent.epochs - (self._epochs_before or 0)
        limits = []
        if self._budget.hours is not None:
            limits.append(self._budget.hours * 3600 - spent.seconds)
        limits.extend(self._device_limits(standing))
        if trained > 0:
            pace = elapsed / trained
            if self._budget.epochs is not None:
                limits.append(pace * (self._budget.epochs - spent.epochs))
            if self._budget.trials is not None:
                limits.append(pace * self._epochs_left(standing, self._budget.trials))
        return f"~{_clock(max(0.0, min(limits)))}" if limits else "-"

    def _device_limits(self, standing: Standing) -> Iterator[float]:
        """Seconds until device hours or money are spent, at the pace of this whole search."""
        spent, budget = standing.spent, self._budget
        if spent.device_seconds <= 0:
            return
        pace = spent.seconds / spent.device_seconds
        if budget.device_hours is not None:
            yield pace * (budget.device_hours * 3600 - spent.device_seconds)
        if budget.money is not None and budget.price_per_device_hour is not None:
            seconds = budget.money / budget.price_per_device_hour * 3600
            yield pace * (seconds - spent.device_seconds)

    def _epochs_left(self, standing: Standing, trials: int) -> float:
        ended = sum(standing.counts.get(name, 0) for name in ("COMPLETE", "PRUNED"))
        ended += standing.paused
        underway = sum(standing.running.values())
        # What was expected weighs as much as a few trials that have ended.
        trained = standing.spent.epochs - underway + _PRIOR_TRIALS * standing.epochs_each
        each = trained / (ended + _PRIOR_TRIALS)
        to_come = trials - standing.spent.trials + len(standing.running)
        return max(0.0, to_come * each - underway)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
