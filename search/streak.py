"""Whether nothing but the same failure comes back."""

from __future__ import annotations

from search.assignment import Failure
from search.terms import Ending

_FAILURES_IN_A_ROW = 3


class FailureStreak:
    """Counts failures of one cause that no success came between."""

    def __init__(self) -> None:
        self._causes: list[str] = []

    def clear(self) -> None:
        """A trial has come to something."""
        self._causes.clear()

    def take(self, failure: Failure) -> Ending | None:
        """Counts a failure, and ends the search with the third of one cause in a row.

        A trial that diverged tells of its own values, and not of the program.
        """
        if failure.kind == "diverged":
            return None
        self._causes.append(failure.cause or failure.reason)
        last = self._causes[-_FAILURES_IN_A_ROW:]
        if len(last) < _FAILURES_IN_A_ROW or len(set(last)) > 1:
            return None
        return Ending("failed", f"{_FAILURES_IN_A_ROW} trials in a row failed: {failure.reason}")
