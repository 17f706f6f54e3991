"""How far a prediction is, in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from search.terminal import ERR
from search.terminal_view import TerminalView


class PredictionView(TerminalView):
    """A bar for each thing that is done."""

    def __init__(self, console: Console | None = None) -> None:
        """Shows nothing yet.

        Args:
            console: To show it on; by default what people read of the command.
        """
        console = console or ERR
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("sections"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        super().__init__(console, self._bars)

    def show(self, stage: str, done: int, total: int) -> None:
        """Shows that so many sections of all are done."""
        if self._console.is_terminal:
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(stage, completed=done, total=total)
            self._bars.update(self._tasks[stage], completed=done)
        elif self._is_due():
            self._tell(f"{stage}: {done} of {total} sections")
