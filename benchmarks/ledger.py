"""Where the time of one thread goes, every moment of it charged to exactly one account."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

REST = "rest"


class Ledger:
    """Splits the time of the thread that made it into accounts.

    A watched call that is made within another one is charged to its own account and not to the
    outer one's: what a sampler reads from the storage is time of the storage.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._thread = threading.get_ident()
        self._open = [REST]
        self._since = clock()
        self._seconds: dict[str, float] = {}

    def reset(self) -> None:
        """Forgets what was charged so far, also to calls that are under way."""
        self._seconds.clear()
        self._since = self._clock()

    def accounts(self) -> dict[str, float]:
        """Seconds by account; `REST` is what no watched call took."""
        self._charge()
        return dict(self._seconds)

    def watch(self, target: object, methods: Iterable[str], account: str) -> None:
        """Charges calls of an object's methods to an account from now on."""
        for name in methods:
            setattr(target, name, self.watched(getattr(target, name), account))

    def watched(self, call: Callable[..., Any], account: str) -> Callable[..., Any]:
        """Returns the same call, charged to an account when the ledger's thread makes it."""

        @wraps(call)
        def watched(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != self._thread:
                return call(*args, **kwargs)
            self._charge()
            self._open.append(account)
            try:
                return call(*args, **kwargs)
            finally:
                self._charge()
                self._open.pop()

        return watched

    def _charge(self) -> None:
        now = self._clock()
        account = self._open[-1]
        self._seconds[account] = self._seconds.get(account, 0.0) + now - self._since
        self._since = now


def public_methods(kind: type) -> list[str]:
    """The names of a class's public methods, those of its parents included."""
    return [name for name in dir(kind) if name[0] != "_" and callable(getattr(kind, name))]
