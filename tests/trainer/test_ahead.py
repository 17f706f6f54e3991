from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from trainer.ahead import ahead

SECONDS = 20.0


def test_the_items_come_in_their_order() -> None:
    assert list(ahead(range(100))) == list(range(100))
    assert list(ahead([])) == []


def test_the_next_item_and_no_other_is_made_while_one_is_used() -> None:
    made = [threading.Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    for number in ahead(items()):
        if number + 1 < len(made):
            assert made[number + 1].wait(SECONDS)
        assert not any(event.is_set() for event in made[number + 2 :])


def test_what_goes_wrong_is_raised_in_its_turn() -> None:
    def items() -> Iterator[int]:
        yield 0
        raise OSError("no more")

    made = ahead(items())
    assert next(made) == 0
    with pytest.raises(OSError, match="no more"):
        next(made)


def test_nothing_is_being_made_once_it_is_closed() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 0
        begun.set()
        assert go_on.wait(SECONDS)
        ended.set()
        yield 1

    made = ahead(items())
    next(made)
    assert begun.wait(SECONDS)
    threading.Timer(0.05, go_on.set).start()
    made.close()  # type: ignore[attr-defined]
    assert ended.is_set()
