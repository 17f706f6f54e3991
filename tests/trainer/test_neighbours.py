from __future__ import annotations

from collections.abc import Sequence

import pytest

from trainer.neighbours import describe_offsets, neighbours


@pytest.mark.parametrize(
    ("section", "offsets", "expected"),
    [
        (5, [0], [5]),
        (5, [-1, 0, 1], [4, 5, 6]),
        (5, [-3, 0, 3], [2, 5, 8]),
        (2, range(-2, 3), [2, 2, 2, 3, 4]),
        (8, range(-3, 4), [5, 6, 7, 8, 8, 8, 8]),
        (6, [-8, -4, 0, 4, 8], [2, 2, 6, 8, 8]),
    ],
)
def test_sections_at_their_distances_and_nothing_beyond_the_block_is_seen(
    section: int, offsets: Sequence[int], expected: list[int]
) -> None:
    assert neighbours(section, offsets, range(2, 9)) == expected


def test_a_block_of_one_section_sees_itself() -> None:
    assert neighbours(4, [-1, 0, 1], [4]) == [4, 4, 4]


@pytest.mark.parametrize(
    ("offsets", "words"),
    [
        ((0,), "one section"),
        ((-4, 0, 4), "3 sections as channels, at -4, 0, +4 from the one to segment"),
    ],
)
def test_offsets_are_told_in_words(offsets: Sequence[int], words: str) -> None:
    assert describe_offsets(offsets) == words
