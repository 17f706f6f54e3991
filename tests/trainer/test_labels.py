from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from trainer import labels as module
from trainer.errors import InputError
from trainer.labels import LabelledVolume, LabelOptions, check_label_memory


def label(mask: np.ndarray, **options: Any) -> tuple[np.ndarray, LabelledVolume]:
    volume = LabelledVolume(
        lambda first, stop: mask[first:stop], mask.shape, LabelOptions(**options)
    )
    return np.stack(list(volume.sections())), volume


def ball(shape: tuple[int, ...], centre: tuple[int, ...], radius: float) -> np.ndarray:
    places = np.indices(shape).reshape(len(shape), -1).T - np.array(centre)
    found: np.ndarray = (np.linalg.norm(places, axis=1) < radius).reshape(shape)
    return found


@pytest.mark.parametrize("slab", [1, 60, 150, 10**6])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.5, 1.0])
def test_components_are_those_of_the_whole_volume(
    monkeypatch: pytest.MonkeyPatch, slab: int, share: float
) -> None:
    monkeypatch.setattr(module, "_SLAB_VOXELS", slab)
    mask = np.random.default_rng(1).random((13, 6, 7)) < share
    expected, count = ndimage.label(mask, np.ones((3, 3, 3)))
    found, volume = label(mask)
    assert (volume.count, found.dtype, found.max()) == (count, np.uint16, count)
    # One number of ours for one of theirs, and the other way round.
    assert len(np.unique(np.stack([expected.ravel(), found.ravel()]), axis=1).T) == len(
        np.unique(expected)
    )
    assert np.array_equal(found > 0, mask)


@pytest.mark.parametrize("slab", [1, 10**6])
def test_small_objects_are_left_out(monkeypatch: pytest.MonkeyPatch, slab: int) -> None:
    monkeypatch.setattr(module, "_SLAB_VOXELS", slab)
    mask = np.zeros((9, 8, 8), bool)
    mask[0:9, 1, 1] = True  # nine voxels in as many slabs
    mask[2:4, 5:7, 5:7] = True  # eight
    assert label(mask, smallest_voxels=9)[1].count == 1
    assert label(mask, smallest_voxels=8)[1].count == 2
    assert label(mask, smallest_voxels=10)[0].max() == 0


@pytest.mark.parametrize("slab", [1, 10**9])
def test_objects_that_touch_are_cut_where_they_are_thin(
    monkeypatch: pytest.MonkeyPatch, slab: int
) -> None:
    monkeypatch.setattr(module, "_SLAB_VOXELS", slab)
    shape = (90, 24, 44)
    mask = ball(shape, (20, 12, 12), 10) | ball(shape, (20, 12, 29), 10)
    mask |= ball(shape, (62, 12, 20), 10) | ball(shape, (78, 12, 20), 9)
    assert label(mask)[1].count == 2
    found, volume = label(mask, kind="watershed")
    assert volume.count == 4
    centres = [found[20, 12, 12], found[20, 12, 29], found[62, 12, 20], found[78, 12, 20]]
    assert len(set(centres)) == 4
    assert np.array_equal(found > 0, mask)


def test_a_round_object_stays_whole() -> None:
    mask = ball((40, 40, 40), (20, 20, 20), 14)
    assert label(mask, kind="watershed")[1].count == 1


def test_thickness_is_measured_in_the_voxels_own_size() -> None:
    # Two sections thick at 50 nm is as thick as 20 voxels at 5 nm: a neck in the plane shows.
    mask = np.zeros((6, 40, 80), bool)
    mask[1:5] = ball((40, 80), (20, 20), 15) | ball((40, 80), (20, 58), 15)
    mask[1:5, 18:22, 20:58] = True
    assert label(mask, kind="watershed", spacing=(50.0, 5.0, 5.0))[1].count == 2


def test_many_objects_need_larger_numbers() -> None:
    mask = np.zeros((2, 600, 600), bool)
    mask[0, ::2, ::2] = True
    found, volume = label(mask)
    assert (volume.count, found.dtype) == (90_000, np.uint32)


def test_an_object_that_is_cut_by_the_border_is_not_thin_there() -> None:
    # Six sections of two thick columns, joined by a bridge of nine voxels: thinner than they, and
    # thicker than the few sections that there are of them.
    mask = np.zeros((6, 60, 120), bool)
    mask[:] = ball((60, 120), (30, 30), 20) | ball((60, 120), (30, 88), 20)
    mask[:, 26:35, 30:88] = True
    assert label(mask, kind="watershed")[1].count == 2


def test_a_slab_without_background_is_one_object() -> None:
    assert label(np.ones((5, 8, 8), bool), kind="watershed")[1].count == 1


@pytest.mark.parametrize(
    ("kind", "sections", "advice"),
    [
        ("components", 2, "cut out a smaller volume"),
        ("watershed", 64, "use --labels without --split-touching"),
    ],
)
def test_a_slab_that_does_not_fit_is_refused_before_it_is_made(
    monkeypatch: pytest.MonkeyPatch, kind: Any, sections: int, advice: str
) -> None:
    shape, voxels = (90, 10**5, 10**5), sections * 10**10
    monkeypatch.setattr("trainer.memory.free_memory", lambda: 12 * voxels)
    check_label_memory(shape, kind)
    monkeypatch.setattr("trainer.memory.free_memory", lambda: 12 * voxels - 1)
    with pytest.raises(InputError, match=f"GB are free; {advice}"):
        check_label_memory(shape, kind)


def test_an_object_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((9, 40, 40), bool)
    mask[2:6, 5:30, 5:30] = True
    monkeypatch.setattr("trainer.memory.free_memory", lambda: 75 * mask[2:6, 5:30, 5:30].size - 1)
    assert label(mask)[1].count == 1
    with pytest.raises(InputError, match="use --labels"):
        label(mask, kind="watershed")
