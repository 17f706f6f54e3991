"""A rung beside one that looks at everything anew."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.rung import Rung

# Few values, so that many are equal.
LOSSES = st.sampled_from([-math.inf, -0.9, -0.5, -0.5, -0.2, 0.0, 0.1, math.inf])
STEPS = st.lists(st.tuples(st.sampled_from(["come", "pause", "promote"]), LOSSES), max_size=60)


class PlainRung:
    """The same by its definition: sort all, and look who is among the first."""

    def __init__(self, reduction: int) -> None:
        self.reduction = reduction
        self.loss: dict[int, float] = {}
        self.stopped: list[int] = []

    def best(self) -> int:
        return max(len(self.loss) // self.reduction, 1)

    def passes(self, loss: float) -> bool:
        return loss <= sorted(self.loss.values())[self.best() - 1]

    def pause(self, line: int, keep: int) -> int | None:
        self.stopped.append(line)
        self.stopped.sort(key=lambda each: (self.loss[each], each))
        return self.stopped.pop() if len(self.stopped) > keep else None

    def promotable(self) -> tuple[float, int] | None:
        # With all its equals it is among the best.
        ranks = {
            each: sum(other <= self.loss[each] for other in self.loss.values())
            for each in self.stopped
        }
        able = [(self.loss[each], each) for each in self.stopped if ranks[each] <= self.best()]
        return min(able, default=None)


@settings(deadline=None, max_examples=150)
@given(steps=STEPS, reduction=st.integers(2, 4), keep=st.integers(1, 5))
def test_a_rung_decides_as_its_definition(
    steps: list[tuple[str, float]], reduction: int, keep: int
) -> None:
    ours, plain = Rung(reduction), PlainRung(reduction)
    for line, (what, loss) in enumerate(steps):
        if what == "promote":
            expected = plain.promotable()
            assert ours.promotable() == expected
            if expected is not None:
                assert ours.promote() == expected[1]
                plain.stopped.remove(expected[1])
            continue
        ours.record(line, loss)
        plain.loss[line] = loss
        assert ours.passes(loss) == plain.passes(loss)
        if what == "pause":
            assert ours.pause(line, line, keep=keep) == plain.pause(line, keep)
        assert ours.paused() == plain.stopped


@settings(deadline=None, max_examples=100)
@given(losses=st.lists(st.floats(-1, 0), min_size=1, max_size=40))
def test_whoever_is_stopped_goes_on_once_it_is_among_the_best(losses: list[float]) -> None:
    # Everything that can be promoted is, whenever something has come: as published.
    rung, gone_on = Rung(3), set[int]()
    for line, loss in enumerate(losses):
        rung.record(line, loss)
        if rung.passes(loss):
            gone_on.add(line)
        else:
            rung.pause(line, line, keep=len(losses))
        while rung.promotable():
            gone_on.add(rung.promote())
    for line, loss in enumerate(losses):
        if sum(other <= loss for other in losses) <= len(losses) // 3:
            assert line in gone_on


def test_equals_are_not_all_promoted_where_only_some_of_them_belong_to_the_best() -> None:
    rung = Rung(3)
    rung.record(0, -0.9)
    for line in range(1, 30):
        rung.record(line, -0.05)
        rung.pause(line, line, keep=50)
    assert rung.passes(-0.05)
    assert rung.promotable() is None


def test_what_a_rung_is_asked_costs_the_same_however_many_have_come() -> None:
    def seconds(lines: int) -> float:
        rung = Rung(3)
        for line in range(lines):
            rung.record(line, (line * 7919) % lines)
            rung.pause(line, line, keep=10)
        asked = []
        for _ in range(5):
            started = time.perf_counter()
            for _ in range(2000):
                rung.promotable()
            asked.append(time.perf_counter() - started)
        return min(asked)

    assert seconds(20_000) < 10 * seconds(200)


@settings(deadline=None, max_examples=300)
@given(
    losses=st.lists(st.one_of(st.floats(-1, 1), st.sampled_from([-0.5, 0.0])), min_size=1),
    reduction=st.integers(2, 4),
)
def test_a_value_keeps_up_with_the_quantile_of_the_others(
    losses: list[float], reduction: int
) -> None:
    rung = Rung(reduction)
    for line, loss in enumerate(losses):
        rung.record(line, loss)
    *others, own = losses
    kept = rung.keeps_up(own)
    if not others:
        assert kept
        return
    quantile = float(np.quantile(others, 1 / reduction))
    assert kept == (own <= quantile) or own == pytest.approx(quantile, abs=1e-9)
    # Whoever is among the best by number keeps up as well; the other way round one more may.
    assert kept or not rung.passes(own)


def test_of_three_the_middle_one_keeps_up_where_it_is_nearer_to_the_best() -> None:
    for middle, kept in [(0.49, True), (0.51, False)]:
        rung = Rung(2)
        for line, loss in enumerate([0.0, 1.0, middle]):
            rung.record(line, loss)
        assert rung.keeps_up(middle) is kept
        assert not rung.passes(middle)
