"""Whether a process that does not answer is at work."""

from __future__ import annotations

from pathlib import Path

from search.memory_watch import read_memory_record
from search.patience import Patience


class Pulse:
    """Sees from what a process computes whether a call to it is being worked on.

    A network that is large, or an epoch that is long, keeps a core busy; a process that is stopped,
    or waits for what never comes, does not.
    """

    def __init__(self, record: Path, patience: Patience) -> None:
        """Nothing is looked at yet.

        Args:
            record: The file that keeps what the process uses.
            patience: What counts as being at work.
        """
        self._record, self._patience = record, patience
        self._computed = 0.0
        self._trusted_until = 0.0

    def beats(self, silent: float) -> bool:
        """Looks once in a while, and trusts the process for as long again.

        Args:
            silent: For how many seconds an answer has been waited for.
        """
        if silent > self._patience.busy_seconds:
            return False
        if silent <= self._trusted_until:
            return True
        record = read_memory_record(self._record)
        if record is None:
            return False
        computed = record.cpu_seconds - self._computed
        self._computed = record.cpu_seconds
        self._trusted_until = silent + self._patience.least_seconds
        return computed >= self._patience.busy_share * self._patience.least_seconds
