"""What is redrawn in a terminal, and elsewhere told in a line now and then."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console

_PLAIN_SECONDS = 15.0


class Drawing(Protocol):
    """What Rich redraws, from its start to its stop."""

    def start(self) -> None:
        """Begins to draw."""

    def stop(self) -> None:
        """Leaves what was drawn last."""


class TerminalView:
    """The base of views of work that takes long."""

    def __init__(self, console: Console, drawing: Drawing) -> None:
        """Shows nothing yet.

        Args:
            console: To show it on.
            drawing: What a terminal gets.
        """
        self._console = console
        self._drawing = drawing
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._drawing.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._drawing.stop()

    def _is_due(self) -> bool:
        """Whether the last line was long enough ago for another one."""
        return time.monotonic() - self._told >= _PLAIN_SECONDS

    def _tell(self, line: str) -> None:
        self._told = time.monotonic()
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
