from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from trainer.errors import InputError
from trainer.resample import Resampled, axis_weights, resampled_shape
from trainer.rescale import rescale_split, rescale_volume
from trainer.split import Split, split_sections
from trainer.volume import Volume
from trainer.voxel_size import VoxelSize, is_alike


def ball(size: VoxelSize = (4.0, 4.0, 4.0), kind: type = np.uint8) -> Volume:
    z, y, x = np.ogrid[:40, :48, :56]
    inside = (z - 21.3) ** 2 + (y - 17.6) ** 2 + (x - 30.2) ** 2 < 11**2
    return Volume((inside * 200).astype(kind), inside.astype(np.uint8), size, ("a note",))


def centre_share(array: np.ndarray) -> np.ndarray:
    """The centre of mass along each axis, from 0 at the first voxel's edge to 1 at the last's."""
    return (np.array(ndimage.center_of_mass(array)) + 0.5) / array.shape


@pytest.mark.parametrize("size", [(8, 8, 8), (3, 3, 3), (6, 2.5, 9), (4, 4, 12)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_image_and_mask_stay_where_they_were(size: VoxelSize, kind: type) -> None:
    before = ball(kind=kind)
    after = rescale_volume(before, size)
    assert after.raw.shape == after.mask.shape
    assert (after.raw.dtype, after.mask.dtype) == (kind, np.uint8)
    assert set(np.unique(after.mask)) == {0, 1}
    for array in (after.raw, after.mask):
        moved = centre_share(array)
        np.testing.assert_allclose(moved, centre_share(before.mask), atol=0.003)
    assert ((after.raw >= 100) == (after.mask == 1)).mean() > 0.998


def test_what_is_known_of_the_volume_is_kept() -> None:
    after = rescale_volume(ball(), (8, 8, 8))
    assert after.raw.shape == (20, 24, 28)
    assert after.voxel_size_nm == (8, 8, 8)
    first, second = after.notes
    assert first == "a note"
    assert second == (
        "resampled from 40 x 48 x 56 voxels of 4 x 4 x 4 nm to 20 x 24 x 28 of 8 x 8 x 8 nm, "
        "which are the first volume's"
    )


def test_larger_voxels_are_the_mean_of_those_in_them() -> None:
    raw = np.random.default_rng(0).random((9, 8, 8)).astype(np.float32)
    after = rescale_volume(Volume(raw, raw.astype(np.uint8), (5.0, 5.0, 5.0)), (15, 10, 10))
    expected = raw.reshape(3, 3, 4, 2, 4, 2).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(after.raw, expected, rtol=1e-5)


@pytest.mark.parametrize("size", [(8, 8, 8), (3, 3, 3), (6, 2.5, 9), (11, 4, 4)])
def test_a_network_is_trained_on_what_it_is_shown_later(size: VoxelSize) -> None:
    before = ball(kind=np.float32)
    after = rescale_volume(before, size)
    shape = resampled_shape(before.raw.shape, (4.0, 4.0, 4.0), size, along_z=True)
    np.testing.assert_array_equal(after.raw, Resampled(before.raw, shape)[:])


def test_sections_between_are_interpolated() -> None:
    raw = np.repeat(np.array([0, 100, 200], np.uint8), 4).reshape(3, 2, 2)
    after = rescale_volume(Volume(raw, raw // 150, (9.0, 5.0, 5.0)), (4.5, 5, 5))
    assert after.raw[:, 0, 0].tolist() == [0, 25, 75, 125, 175, 200]
    assert after.mask[:, 0, 0].tolist() == [0, 0, 0, 0, 1, 1]


def test_voxels_of_unknown_size_are_no_input() -> None:
    unknown = Volume(ball().raw, ball().mask, None)
    with pytest.raises(ValueError, match="unknown size"):
        rescale_volume(unknown, (4, 4, 4))


def test_blocks_move_with_their_sections() -> None:
    split = Split(range(8), range(10, 13), range(16, 20), 2, range(14))
    assert rescale_split(split, 20, 40) == Split(
        range(16), range(20, 26), range(32, 40), 4, range(28)
    )
    assert rescale_split(replace(split, holdout_gap=3), 20, 40).holdout_gap == 6
    coarse = rescale_split(Split(range(15), range(16, 20), None, 1, range(20)), 20, 5)
    assert (coarse.train, coarse.validation, coarse.all) == (range(3), range(4, 5), range(5))


@pytest.mark.parametrize(
    ("before", "after", "gap", "validation"), [(157, 10, 2, (154, 157)), (20, 5, 1, (19, 20))]
)
def test_a_block_thinner_than_a_section_is_refused(
    before: int, after: int, gap: int, validation: tuple[int, int]
) -> None:
    split = split_sections(before, validation=validation, gap=gap)
    with pytest.raises(InputError, match="expected a validation block that holds a whole section"):
        rescale_split(split, before, after)


@settings(deadline=None)
@given(
    before=st.integers(2, 200),
    factor=st.floats(1 / 16, 16),
    share=st.floats(0.05, 0.6),
    gap=st.integers(0, 5),
    held=st.integers(0, 30),
)
def test_no_section_belongs_to_two_blocks(
    before: int, factor: float, share: float, gap: int, held: int
) -> None:
    after = max(1, round(before * factor))
    try:
        split = split_sections(
            before, validation=share, gap=gap, holdout=(0, held) if held else None
        )
        moved = rescale_split(split, before, after)
    except InputError:
        assume(False)
    weights = axis_weights(before, after)
    blocks = [
        (split.train, moved.train),
        (split.validation, moved.validation),
        *([(split.holdout, moved.holdout)] if split.holdout and moved.holdout else []),
    ]
    taken = [section for _, block in blocks for section in block]
    assert len(taken) == len(set(taken))
    assert max(taken) < after
    for own, block in blocks if after <= before else []:
        seen = {number for section in block for number, share in weights[section] if share > 1e-6}
        assert seen <= set(own)
    assert set(moved.train) | set(moved.validation) <= set(moved.all)
    assert not set(moved.all) & set(moved.holdout or ())


@pytest.mark.parametrize(
    ("other", "alike"), [((5, 5, 5), True), ((5.2, 4.8, 5), True), ((5, 5, 5.5), False)]
)
def test_sizes_within_a_twentieth_are_alike(other: VoxelSize, alike: bool) -> None:
    assert is_alike((5, 5, 5), other) is alike


def test_voxels_of_a_wrong_unit_are_refused() -> None:
    volume = ball((5.0, 5e6, 5e6))
    with pytest.raises(InputError, match="up to 16 times those of the first volume"):
        rescale_volume(volume, (5.0, 5.0, 5.0))
