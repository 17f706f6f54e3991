"""Ctrl-C and SIGTERM: once ends a search cleanly, twice at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

_STDERR = 2
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Remembers the first signal, and raises KeyboardInterrupt at the second.

    Entered after `ray.init`, which puts a handler of its own in place.
    """

    def __init__(self, announce: Callable[[str], None] | None = None) -> None:
        self._announce = announce or (lambda line: _write(line))
        self._requested = False
        self._before: dict[signal.Signals, Any] = {}

    def requested(self) -> bool:
        """Whether somebody has asked for the end."""
        return self._requested

    def __enter__(self) -> Interruption:
        self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._requested:
            raise KeyboardInterrupt
        self._requested = True
        self._announce(
            "interrupted: the running trials finish their epoch and are kept; again ends at once"
        )


def _write(line: str) -> None:
    # Not by way of sys.stderr: the signal may have come in the middle of a write to it, and a
    # buffer that is being written cannot be entered a second time. The line is not worth a search.
    with suppress(OSError):
        os.write(_STDERR, f"{line}\n".encode())
