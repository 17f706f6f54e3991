"""How long a worker may be silent."""

from __future__ import annotations

import pytest

from search.patience import Patience


@pytest.mark.parametrize(
    ("last_epoch", "longest_first", "allowed"),
    [(1.0, 0.0, 60.0), (20.0, 500.0, 100.0), (None, 30.0, 600.0), (None, 200.0, 1000.0)],
)
def test_a_call_may_take_five_times_what_is_known_of_the_like(
    last_epoch: float | None, longest_first: float, allowed: float
) -> None:
    assert Patience().seconds(last_epoch, longest_first) == allowed
