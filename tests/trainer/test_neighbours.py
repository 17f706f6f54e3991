from __future__ import annotations

import pytest

from trainer.neighbours import neighbours


@pytest.mark.parametrize(
    ("section", "count", "expected"),
    [
        (5, 1, [5]),
        (5, 3, [4, 5, 6]),
        (5, 5, [3, 4, 5, 6, 7]),
        (2, 5, [2, 2, 2, 3, 4]),
        (8, 7, [5, 6, 7, 8, 8, 8, 8]),
    ],
)
def test_the_section_is_in_the_middle_and_nothing_beyond_the_block_is_seen(
    section: int, count: int, expected: list[int]
) -> None:
    assert neighbours(section, count, range(2, 9)) == expected


def test_a_block_of_one_section_sees_itself() -> None:
    assert neighbours(4, 3, [4]) == [4, 4, 4]
