from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.errors import InputError
from trainer.resample import (
    Resampled,
    axis_weights,
    resampled_shape,
    resize,
    restore_sections,
)


def smooth(*shape: int) -> np.ndarray:
    places = np.meshgrid(*(np.linspace(0, 3, side) for side in shape), indexing="ij")
    return (127 + 120 * np.sin(sum(places))).astype(np.uint8)


@pytest.mark.parametrize(
    ("here", "along_z", "shape"),
    [
        ((5, 5, 5), True, (10, 20, 30)),
        ((5.2, 4.8, 5), True, (10, 20, 30)),
        ((10, 10, 2.5), True, (20, 40, 15)),
        ((50, 10, 10), False, (10, 40, 60)),
        ((5, 0.5, 0.5), True, (10, 2, 3)),
    ],
)
def test_the_shape_is_that_of_voxels_as_they_were_trained_on(
    here: tuple[float, float, float], along_z: bool, shape: tuple[int, int, int]
) -> None:
    assert resampled_shape((10, 20, 30), here, (5, 5, 5), along_z=along_z) == shape


def test_voxels_that_are_far_too_large_are_refused() -> None:
    with pytest.raises(InputError, match="expected voxels up to 16 times those of"):
        resampled_shape((10, 20, 30), (5, 5, 5000), (5, 5, 5), along_z=True)


@given(source=st.integers(1, 40), target=st.integers(1, 40))
def test_every_section_counts_and_weights_add_up(source: int, target: int) -> None:
    weights = axis_weights(source, target)
    assert len(weights) == target
    numbers = [[number for number, _ in section] for section in weights]
    assert all(sum(share for _, share in section) == pytest.approx(1) for section in weights)
    assert all(0 <= each < source for section in numbers for each in section)
    assert numbers == sorted(numbers)
    if source > target:
        assert {each for section in numbers for each in section} == set(range(source))


@pytest.mark.parametrize("shape", [(12, 30, 40), (24, 60, 80), (6, 15, 20), (5, 70, 13)])
def test_what_is_smooth_comes_back(shape: tuple[int, int, int]) -> None:
    volume = smooth(12, 30, 40)
    seen = Resampled(volume, shape)
    assert seen[:].shape == seen.shape == shape
    sections = np.rint(seen[:]).astype(np.uint8)
    back = np.stack(list(restore_sections(iter(sections), shape[0], volume.shape, 0)))
    assert back.dtype == np.uint8
    assert np.abs(back.astype(int) - volume)[1:-1, 2:-2, 2:-2].max() < 32
    assert np.abs(back.astype(int) - volume).mean() < 8


@pytest.mark.parametrize("first", [0, 1, 5, 11])
@pytest.mark.parametrize("count", [5, 12, 30])
def test_sections_are_restored_from_any_on(first: int, count: int) -> None:
    shape = (12, 6, 8)
    sections = smooth(count, 6, 8)
    whole = list(restore_sections(iter(sections), count, shape, 0))
    needed = axis_weights(count, 12)[first][0][0]
    part = list(restore_sections(iter(sections[needed:]), count, shape, first))
    assert np.array_equal(part, whole[first:])


def test_a_section_is_averaged_where_it_shrinks() -> None:
    section = np.array([[0, 100], [100, 200]], np.float32)
    assert resize(section, (1, 1)).tolist() == [[100]]
    assert resize(np.full((3, 5), 7, np.uint8), (6, 2)).tolist() == [[7, 7]] * 6


@pytest.mark.parametrize("kind", [np.uint32, np.int32, np.float64])
@pytest.mark.parametrize("shape", [(10, 4, 5), (5, 8, 10), (10, 8, 10)])
def test_grey_values_far_from_0_are_told_apart(
    kind: type[np.generic], shape: tuple[int, int, int]
) -> None:
    flat = np.full((5, 8, 10), 2_000_000_000, kind)
    flat += np.arange(5, dtype=kind)[:, np.newaxis, np.newaxis]
    resampled = Resampled(flat, shape)
    values = np.stack([resampled[number] for number in range(len(resampled))])
    assert values.dtype == resampled.dtype
    assert values.min() == pytest.approx(2_000_000_000, abs=1e-3)
    assert values.max() - values.min() == pytest.approx(4, abs=1e-3)


def test_each_section_of_the_source_is_resized_once_for_all_that_see_it() -> None:
    asked: list[int] = []

    class Counting:
        shape, dtype = (40, 8, 10), np.dtype(np.uint8)

        def __len__(self) -> int:
            return 40

        def __getitem__(self, number: int) -> np.ndarray:
            asked.append(number)
            return np.zeros((8, 10), np.uint8)

    resampled = Resampled(Counting(), (20, 4, 5), remembered=13)
    for number in range(20):
        for near in range(max(0, number - 6), min(20, number + 7), 3):
            resampled[near]
    assert sorted(asked) == list(range(40))
