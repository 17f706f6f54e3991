"""The terminal that a person reads, which may be gone before the work is done."""

from __future__ import annotations

from rich.console import Console


class Terminal(Console):
    """A console that falls silent where nobody reads it any more.

    Rich ends the program then; a search that was paid for goes on without its spectators.
    """

    def on_broken_pipe(self) -> None:
        """Writes nothing from now on."""
        self.quiet = True

    def _check_buffer(self) -> None:
        try:
            super()._check_buffer()
        except OSError:
            # A terminal that was closed, a log on a full disk: no reason to end what it tells of.
            if not self.stderr:
                raise
            self.quiet = True


OUT = Terminal(highlight=False, soft_wrap=True)
ERR = Terminal(stderr=True, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Tells the person something that is not a result."""
    ERR.print(line, markup=False)
