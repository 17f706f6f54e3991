from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.errors import InputError
from trainer.split import Split, fold_sections, measure_guard_gap, split_sections


def noise_that_drifts(sections: int, kept: float, seed: int = 0) -> np.ndarray:
    """Each section keeps a part of the one before: the correlation is kept ** distance."""
    rng = np.random.default_rng(seed)
    volume = rng.standard_normal((sections, 64, 64))
    for z in range(1, sections):
        volume[z] = kept * volume[z - 1] + np.sqrt(1 - kept**2) * volume[z]
    return volume.astype(np.float32)


def sections_between(one: range, other: range) -> int:
    return max(one.start - other.stop, other.start - one.stop)


def blocks(split: Split) -> list[range]:
    return [block for block in (split.train, split.validation, split.holdout) if block is not None]


def test_a_share_validates_on_the_last_sections_and_trains_on_the_first() -> None:
    split = split_sections(100, validation=0.2, gap=10)
    assert (split.train, split.validation) == (range(70), range(80, 100))
    assert (split.holdout, split.all, split.gap) == (None, range(100), 10)


def test_a_holdout_at_the_end_leaves_the_sections_before_its_gap() -> None:
    split = split_sections(100, validation=0.25, gap=5, holdout=(75, 100))
    assert split.all == range(70)
    assert (split.train, split.validation) == (range(47), range(52, 70))


def test_a_holdout_at_the_start_leaves_the_sections_behind_its_gap() -> None:
    assert split_sections(100, gap=5, holdout=(0, 20)).all == range(25, 100)


def test_a_holdout_in_the_middle_leaves_the_larger_side_to_train_on_at_the_end() -> None:
    assert split_sections(100, gap=5, holdout=(30, 50)).all == range(55, 100)


def test_training_takes_the_side_of_the_holdout_that_validation_left_larger() -> None:
    split = split_sections(100, validation=0.5, gap=2, holdout=(40, 50))
    assert (split.validation, split.train) == (range(76, 100), range(38))


def test_validation_may_lie_on_the_smaller_side_of_the_holdout() -> None:
    split = split_sections(100, validation=(0, 10), gap=5, holdout=(20, 30))
    assert (split.train, split.validation) == (range(35, 100), range(10))


def test_at_least_one_section_validates() -> None:
    assert split_sections(4, validation=0.01, gap=1).validation == range(3, 4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"gap": 10}, "left to train on: of 10 sections"),
        ({"gap": 2, "holdout": (1, 9)}, "left to validate on"),
        ({"gap": 1, "validation": (5, 5)}, "validation = [5, 5]"),
        ({"gap": 1, "validation": (8, 11)}, "0 <= z0 < z1 <= 10"),
        ({"gap": 1, "holdout": (-1, 2)}, "holdout = [-1, 2]"),
        ({"gap": 1, "validation": (0, 4), "holdout": (3, 6)}, "overlap"),
        ({"gap": 2, "validation": (0, 3), "holdout": (4, 6)}, "1 sections apart"),
        ({"gap": -1}, "gap = -1"),
        ({"gap": 1, "holdout_gap": -2}, "holdout_gap = -2"),
        (
            {"gap": 0, "holdout": (6, 9), "holdout_gap": 2, "validation": (3, 5)},
            "1 sections apart; a gap of 2 is expected between them: move one of them or give a "
            "smaller holdout_gap",
        ),
        (
            {"gap": 0, "holdout": (4, 6), "holdout_gap": 4},
            "the gap 0 on each side of a block, 4 beside the holdout",
        ),
        ({"gap": 1, "validation": 0.0}, "a share between 0 and 1"),
        ({"gap": 1, "validation": 1.5}, "a share between 0 and 1"),
    ],
)
def test_a_split_that_cannot_be_is_refused_in_one_line(arguments: dict, words: str) -> None:
    with pytest.raises(InputError) as refused:
        split_sections(10, **arguments)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def ranges(largest: int) -> st.SearchStrategy[tuple[int, int]]:
    ends = st.lists(st.integers(0, largest), min_size=2, max_size=2, unique=True)
    return ends.map(lambda pair: (min(pair), max(pair)))


@given(
    sections=st.integers(1, 120),
    gap=st.integers(0, 30),
    validation=st.floats(0.01, 0.99) | ranges(120),
    holdout=st.none() | ranges(120),
    holdout_gap=st.none() | st.integers(0, 30),
)
def test_no_two_blocks_come_nearer_than_the_gap(
    sections: int,
    gap: int,
    validation: float | tuple[int, int],
    holdout: tuple[int, int] | None,
    holdout_gap: int | None,
) -> None:
    try:
        split = split_sections(
            sections, validation=validation, gap=gap, holdout=holdout, holdout_gap=holdout_gap
        )
    except InputError:
        return
    beside = gap if holdout_gap is None else holdout_gap
    for block in [*blocks(split), split.all]:
        assert block
        assert set(block) <= set(range(sections))
    assert sections_between(split.train, split.validation) >= gap
    if split.holdout is not None:
        for block in (split.train, split.validation, split.all):
            assert sections_between(block, split.holdout) >= beside


def test_the_holdout_may_have_a_gap_of_its_own() -> None:
    search = {"validation": (95, 115), "gap": 30, "holdout": (145, 165)}
    assert split_sections(165, **search).all == range(115)
    split = split_sections(165, **search, holdout_gap=0)
    assert (split.train, split.all, split.holdout_gap) == (range(65), range(145), 0)
    # Where it is the same, or there is nothing held out, nothing is said of it.
    assert split_sections(165, **search, holdout_gap=30) == split_sections(165, **search)
    assert split_sections(165, gap=30, holdout_gap=0).holdout_gap is None


@given(sections=st.integers(1, 120), gap=st.integers(0, 30), share=st.floats(0.01, 0.99))
def test_a_split_is_refused_only_where_no_section_can_be_trained_on(
    sections: int, gap: int, share: float
) -> None:
    validating = max(1, round(share * sections))
    if sections - validating - gap >= 1:
        assert len(split_sections(sections, validation=share, gap=gap).train) >= 1
    else:
        with pytest.raises(InputError):
            split_sections(sections, validation=share, gap=gap)


def test_folds_are_cut_where_most_is_left_to_train_on() -> None:
    split = split_sections(165, validation=(95, 115), gap=30, holdout=(145, 165))
    first, second, third = fold_sections(split, 3)
    assert first == split
    assert (second.validation, second.train) == (range(20), range(50, 115))
    assert (third.validation, third.train) == (range(20, 40), range(70, 115))


def test_one_fold_is_the_split_itself() -> None:
    split = split_sections(100, gap=5)
    assert fold_sections(split, 1) == (split,)


def test_more_folds_than_there_is_room_for_are_refused_in_one_line() -> None:
    split = split_sections(10, validation=0.5, gap=1)
    with pytest.raises(InputError, match=r"^folds = 3 in sections .* there is room for 2"):
        fold_sections(split, 3)


@given(
    sections=st.integers(1, 120),
    gap=st.integers(0, 30),
    validation=st.floats(0.01, 0.99) | ranges(120),
    holdout=st.none() | ranges(120),
    folds=st.integers(1, 8),
)
def test_no_fold_learns_near_its_block_or_sees_the_holdout(
    sections: int,
    gap: int,
    validation: float | tuple[int, int],
    holdout: tuple[int, int] | None,
    folds: int,
) -> None:
    try:
        split = split_sections(sections, validation=validation, gap=gap, holdout=holdout)
        found = fold_sections(split, folds)
    except InputError:
        return
    assert found[0] == split
    assert len(found) == folds
    for one, other in itertools.combinations(found, 2):
        assert not set(one.validation) & set(other.validation)
    for fold in found:
        assert len(fold.validation) == len(split.validation)
        assert (fold.holdout, fold.gap, fold.all) == (split.holdout, split.gap, split.all)
        for one, other in itertools.combinations(blocks(fold), 2):
            assert sections_between(one, other) >= gap
    for fold in found[1:]:
        assert fold.train
        assert {*fold.train, *fold.validation} <= set(split.all)
    assert all(fold_sections(split, less) == found[:less] for less in range(1, folds))


def test_the_guard_gap_is_where_sections_cease_to_correlate() -> None:
    # 0.7 ** 6 = 0.118 and 0.7 ** 7 = 0.082.
    assert measure_guard_gap(noise_that_drifts(150, 0.7)) == 7


def test_the_guard_gap_of_unrelated_sections_is_one() -> None:
    assert measure_guard_gap(noise_that_drifts(40, 0.0)) == 1


def test_the_guard_gap_is_at_most_a_fifth_of_the_sections() -> None:
    assert measure_guard_gap(np.repeat(noise_that_drifts(1, 0.0), 50, axis=0)) == 10


def test_the_guard_gap_does_not_depend_on_brightness_and_contrast() -> None:
    volume = noise_that_drifts(60, 0.6)
    contrast = np.linspace(1, 3, 60)[:, None, None]
    expected = measure_guard_gap(volume)
    assert measure_guard_gap(volume * contrast - 7 * contrast) == expected
    assert measure_guard_gap(volume * 1e-12) == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_constant_sections_have_the_smallest_gap(dtype: type) -> None:
    assert measure_guard_gap(np.full((30, 20, 20), 0.1 if dtype is np.float32 else 7, dtype)) == 1


def test_a_missing_section_does_not_change_the_guard_gap() -> None:
    volume = noise_that_drifts(150, 0.7)
    volume[70:73] = 0.1
    assert measure_guard_gap(volume) == 7


@pytest.mark.parametrize("sections", [1, 2, 5])
def test_a_short_volume_has_a_gap_of_one(sections: int) -> None:
    assert measure_guard_gap(noise_that_drifts(sections, 0.9)) == 1
