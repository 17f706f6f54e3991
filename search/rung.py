"""A rung: what every trial had when it got here, and which of those that stopped may go on."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort


class Rung:
    """The values at one rung of one bracket, the best first; less is better.

    What it is asked costs the same however many trials have come here.
    """

    def __init__(self, reduction: int) -> None:
        """Holds nothing yet.

        Args:
            reduction: One trial in so many passes.
        """
        self._reduction = reduction
        self._sorted: list[float] = []
        self._of_line: dict[int, float] = {}
        self._paused: list[tuple[float, int]] = []  # (loss, trial), the best first

    def record(self, line: int, loss: float) -> None:
        """Keeps the value of a line, in place of an earlier one."""
        if line in self._of_line:
            del self._sorted[bisect_left(self._sorted, self._of_line[line])]
        self._of_line[line] = loss
        insort(self._sorted, loss)

    def passes(self, loss: float) -> bool:
        """Whether a value is among the best here; the very best is where there are too few."""
        return loss <= self._sorted[self._best() - 1]

    def keeps_up(self, loss: float) -> bool:
        """Whether a value is no worse than the best 1/reduction of the others, the first always.

        The boundary lies between two of them where their number leaves it there: of three the
        middle one keeps up with a reduction of 2 if it is nearer to the best. `passes` is stricter,
        by up to one trial at each rung, and where few have come that is most of them.

        Args:
            loss: One that was recorded.
        """
        index, others = bisect_left(self._sorted, loss), len(self._sorted) - 1
        if others < 1:
            return True
        place, share = divmod(others - 1, self._reduction)
        # Without the value itself.
        low, high = (self._sorted[at + (at >= index)] for at in (place, min(place + 1, others - 1)))
        return loss <= low or (loss - low) * self._reduction <= (high - low) * share

    def pause(self, line: int, trial: int, *, keep: int) -> int | None:
        """Notes that a trial of a line has stopped here.

        Args:
            line: That has a value here.
            trial: To go on from, if the line comes to be among the best.
            keep: How many are remembered at most, the best ones.

        Returns:
            The trial that is forgotten for it, where there are more.
        """
        insort(self._paused, (self._of_line[line], trial))
        return self._paused.pop()[1] if len(self._paused) > keep else None

    def paused(self) -> list[int]:
        """The trials that have stopped here, the best first."""
        return [trial for _, trial in self._paused]

    def promotable(self) -> tuple[float, int] | None:
        """Loss and number of the best trial that has stopped here, once it is among the best.

        Of equals that do not all belong to the best none is promoted: many a trial that has
        collapsed has the same value, and they would all go on.
        """
        if self._paused and bisect_right(self._sorted, self._paused[0][0]) <= self._best():
            return self._paused[0]
        return None

    def promote(self) -> int:
        """Forgets the best trial that has stopped here, since it goes on; returns its number."""
        return self._paused.pop(0)[1]

    def _best(self) -> int:
        """How many are among the best."""
        return max(len(self._sorted) // self._reduction, 1)
