"""The live view of a search in the terminal."""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live
from rich.table import Table

from search.budget import Budget
from search.remaining import Pace, Remaining, estimate_remaining
from search.standing import Standing
from search.terminal import Terminal
from search.terminal_view import TerminalView


class Progress(TerminalView):
    """Shows how a search stands: redrawn in a terminal, as lines elsewhere."""

    def __init__(self, title: str, budget: Budget, console: Console | None = None) -> None:
        """Shows nothing yet.

        Args:
            title: Of what is done.
            budget: That it is shown against.
            console: To show it on; by default a terminal's stderr.
        """
        self._title = title
        self._budget = budget
        console = console or Terminal(stderr=True)
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._started = time.monotonic()
        self._epochs_before: int | None = None
        self._ended = -1
        super().__init__(console, self._live)

    def show(self, standing: Standing) -> None:
        """Shows the search as it stands now."""
        if self._epochs_before is None:
            self._epochs_before = standing.spent.epochs
        if self._console.is_terminal:
            self._live.update(self._table(standing), refresh=True)
        else:
            self._print_now_and_then(standing)

    def _print_now_and_then(self, standing: Standing) -> None:
        ended = sum(standing.counts.values()) + standing.paused
        if ended != self._ended or self._is_due():
            self._tell(f"{self._title}: {self._line(standing)}")
            self._ended = ended

    def _line(self, standing: Standing) -> str:
        cells = self._cells(standing)
        if to_come := self._to_come(standing):
            cells.insert(-1, ("to come", to_come))
        return ", ".join(f"{name} {value}" for name, value in cells)

    def _table(self, standing: Standing) -> Table:
        table = Table(
            title=self._title, title_justify="left", expand=False, box=None, pad_edge=False
        )
        cells = self._cells(standing)
        for name, _ in cells:
            table.add_column(name, justify="right", no_wrap=True)
        table.add_row(*(value for _, value in cells))
        if to_come := self._to_come(standing):
            table.caption, table.caption_justify = f"to come: {to_come}", "left"
        return table

    def _to_come(self, standing: Standing) -> str:
        remaining = self.remaining(standing)
        return remaining.describe() if remaining else ""

    def _cells(self, standing: Standing) -> list[tuple[str, str]]:
        counts, spent = standing.counts, standing.spent
        number, value = standing.best or (None, None)
        best = f"{value:.4f} (trial {number})" if value is not None else "-"
        if number is None and standing.leading is not None:
            best = f"{standing.leading:.4f} (so far)"
        begun = f"{spent.trials}/{self._budget.trials}" if self._budget.trials else spent.trials
        cost, remaining = self._budget.cost(spent), self.remaining(standing)
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
            ("left", f"~{_clock(remaining.seconds)}" if remaining else "-"),
        ]

    def remaining(self, standing: Standing) -> Remaining | None:
        """What is still to come, from the pace of this run; None while it is not known."""
        elapsed = time.monotonic() - self._started
        trained = standing.spent.epochs - (self._epochs_before or 0)
        return estimate_remaining(standing, self._budget, Pace(elapsed, trained))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
