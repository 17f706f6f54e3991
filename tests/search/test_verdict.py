from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.verdict import Finalist, Score, rank_finalists


def finalist(number: int, value: float, *dice: float) -> Finalist:
    scores = tuple(Score(seed, 0, each) for seed, each in enumerate(dice, start=1))
    return Finalist(number, value, scores)


def numbers(*finalists: Finalist) -> list[int]:
    return [each.number for each in rank_finalists(finalists)]


def test_the_best_mean_wins_and_not_the_luckiest_run() -> None:
    lucky, steady = finalist(3, 0.99, 0.70, 0.95), finalist(8, 0.90, 0.88, 0.89)
    assert numbers(lucky, steady) == [8, 3]


def test_what_a_trial_was_chosen_for_has_no_part_in_its_mean() -> None:
    one = finalist(0, 0.99, 0.8, 0.9)
    assert one.mean == pytest.approx(0.85)
    assert one.std == pytest.approx(0.0707, abs=1e-4)


def test_of_equals_the_trial_that_came_first_wins() -> None:
    assert numbers(finalist(5, 0.9, 0.8), finalist(2, 0.7, 0.8)) == [2, 5]


def test_one_that_diverged_once_is_worse_than_one_that_never_did() -> None:
    assert numbers(finalist(0, 0.9, 0.9, 0.0), finalist(1, 0.8, 0.6, 0.6)) == [1, 0]


def test_a_missing_repeat_is_no_advantage() -> None:
    assert numbers(finalist(0, 0.9, 0.9), finalist(1, 0.8, 0.85, 0.5)) == [1, 0]


def test_without_any_repeat_the_searchs_own_order_stays() -> None:
    assert numbers(finalist(4, 0.8), finalist(1, 0.9), finalist(0, 0.7)) == [1, 4, 0]


def test_one_repeat_has_a_mean_and_no_spread() -> None:
    one, none = finalist(0, 0.9, 0.5), finalist(0, 0.9)
    assert (one.mean, one.std, none.mean, none.std) == (0.5, None, None, None)


def test_a_finalist_as_the_study_keeps_it() -> None:
    kept = json.loads(json.dumps(finalist(7, 0.9, 0.5, 0.5).to_json()))
    scores = [{"seed": seed, "fold": 0, "dice": 0.5} for seed in (1, 2)]
    assert kept == {
        "number": 7, "value": 0.9, "mean": 0.5, "std": 0.0, "n": 2, "scores": scores
    }  # fmt: skip


dice = st.floats(0, 1)


@given(st.lists(st.tuples(dice, dice, dice, dice), min_size=1, max_size=6), st.randoms())
def test_no_finalist_has_a_higher_mean_than_the_winner(
    drawn: list[tuple[float, ...]], order: object
) -> None:
    finalists = [finalist(n, value, *scores) for n, (value, *scores) in enumerate(drawn)]
    shuffled = list(finalists)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    ranked = rank_finalists(shuffled)
    assert ranked == rank_finalists(finalists)
    assert ranked[0].mean == max(each.mean or 0.0 for each in finalists)
