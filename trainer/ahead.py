"""Items that are made while those before them are used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_END: Any = object()


def ahead(items: Iterable[_Item]) -> Iterator[_Item]:
    """The same items, each made by a second thread while the one before it is used.

    Never more than one is waiting. What goes wrong in the making of an item is raised in its turn,
    and when the iterator has ended or is closed nothing is being made any more.

    Args:
        items: Made by the second thread alone.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        waiting = pool.submit(next, iterator, _END)
        while (item := waiting.result()) is not _END:
            waiting = pool.submit(next, iterator, _END)
            yield item
