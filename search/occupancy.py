"""What the slots of a search were doing, and for how long."""

from __future__ import annotations

import math
from typing import Literal

_Doing = Literal["starting", "training"]


class Occupancy:
    """Spells of work on a number of slots; whatever is not recorded is idle."""

    def __init__(self, slots: int) -> None:
        """Begins with nothing done.

        Args:
            slots: Trials at a time.
        """
        self._slots = slots
        self._spells: dict[_Doing, list[tuple[float, float]]] = {"starting": [], "training": []}

    def add(self, doing: _Doing, since: float, until: float) -> None:
        """Records what one of the slots does from one moment to another."""
        self._spells[doing].append((since, until))

    def share(self, doing: _Doing, since: float, until: float) -> float:
        """How much of all slots' time in a span was spent so; 0 in a span of no length."""
        whole = self._slots * (until - since)
        if whole <= 0:
            return 0.0
        spells = self._spells[doing]
        return math.fsum(max(0.0, min(e, until) - max(s, since)) for s, e in spells) / whole

    def idle_share(self, since: float, until: float) -> float:
        """How much of all slots' time in a span nothing was done; 0 in a span of no length."""
        if until <= since:
            return 0.0
        busy = self.share("starting", since, until) + self.share("training", since, until)
        # What rounding leaves of nothing is nothing.
        return round(max(0.0, 1.0 - busy), 9)
