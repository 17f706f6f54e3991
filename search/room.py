"""Whether any worker has had room for a trial of late."""

from __future__ import annotations

from collections.abc import Callable

from search.terms import Ending

_ROOM_SECONDS = 300.0


class RoomWatch:
    """Nodes come and go; where none has come for minutes, the trials fit on none."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._without_since: float | None = None

    def look(self, *, running: bool) -> Ending | None:
        """Ends the search where nothing has been running for too long."""
        if running:
            self._without_since = None
            return None
        now = self._clock()
        self._without_since = self._without_since or now
        if now - self._without_since < _ROOM_SECONDS:
            return None
        return Ending(
            "failed",
            f"no worker had room for a trial in {_ROOM_SECONDS / 60:.0f} minutes; "
            "ask for fewer CPUs or GPUs in [workers]",
        )
