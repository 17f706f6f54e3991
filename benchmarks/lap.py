"""A block of trials, timed from the end of its warm-up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

WARM_UP = 10
"""Trials at the start of a block that are not counted: the workers are still starting."""


@dataclass(frozen=True)
class Lap:
    """How long a block of trials took.

    Attributes:
        trials: That were counted.
        seconds: For all of them.
        accounts: The same seconds by what they were spent on, where that was watched.
    """

    trials: int
    seconds: float
    accounts: Mapping[str, float] = field(default_factory=dict)

    @property
    def ms_per_trial(self) -> float:
        """Milliseconds for each trial."""
        return 1000 * self.seconds / self.trials


class Stopwatch:
    """Counts the trials of a block as they end, and starts when the first ones have."""

    def __init__(
        self,
        on_start: Callable[[], None] = lambda: None,
        *,
        warm_up: int = WARM_UP,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._on_start = on_start
        self._warm_up = warm_up
        self._clock = clock
        self._start: tuple[int, float] | None = None
        self._last = (0, 0.0)

    def ended(self, trials: int) -> None:
        """Takes note of how many trials of the block have ended so far."""
        if trials <= self._last[0]:
            return
        self._last = (trials, self._clock())
        if self._start is None and trials >= self._warm_up:
            self._start = self._last
            self._on_start()

    def prolong(self) -> None:
        """Counts up to now: what came after the last trial is part of its cost."""
        self._last = (self._last[0], self._clock())

    def lap(self, accounts: Mapping[str, float] | None = None) -> Lap:
        """Returns the trials after the warm-up and their time.

        Raises:
            RuntimeError: Fewer trials have ended than the warm-up takes.
        """
        if self._start is None or self._last[0] <= self._start[0]:
            raise RuntimeError(
                f"expected more than {self._warm_up} trials in a block, got {self._last[0]}"
            )
        (before, start), (trials, end) = self._start, self._last
        return Lap(trials - before, end - start, accounts or {})
