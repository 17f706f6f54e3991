"""Downloads as a person sees them in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from search.terminal import ERR, say


@contextmanager
def show_transfers() -> Iterator[Callable[[str, int, int | None], None]]:
    """Gives a function to tell of downloads: name, bytes so far, and all of them or None.

    A bar for each file in a terminal; elsewhere one line for each that begins and ends.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    bars: dict[str, TaskID] = {}
    with Progress(
        *columns, TimeRemainingColumn(), console=ERR, disable=not ERR.is_terminal
    ) as shown:

        def tell(name: str, done: int, total: int | None) -> None:
            if name not in bars:
                bars[name] = shown.add_task(name, total=total)
                if not ERR.is_terminal:
                    say(f"{name}: {_megabytes(done)} of {_megabytes(total)}")
            shown.update(bars[name], completed=done, total=total)
            if done == total and not ERR.is_terminal:
                say(f"{name}: complete")

        yield tell


def _megabytes(size: int | None) -> str:
    return "an unknown size" if size is None else f"{size / 1e6:.1f} MB"
