from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.unet import build_unet, with_probability
from trainer.windows import (
    WindowedNetwork,
    Windows,
    choose_windows,
    count_memory,
    count_room,
    is_approximate,
    receptive_radius,
)


class Echo:
    """A network whose probabilities are its input; it keeps the shapes that it was given."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        self.shapes.append(images.shape)
        return images[..., :1]


class Place:
    """Says for each voxel how far it lies from the left border of what is seen."""

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        columns = np.arange(images.shape[-2], dtype=np.float32)[:, None]
        return np.broadcast_to(columns, images.shape)


def example(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype(np.float32)


@pytest.mark.parametrize("blend", ["taper", "mean"])
@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("sides", [(64, 64), (72, 200), (16, 40), (136, 16)])
def test_windows_cover_every_voxel_and_add_nothing(
    sides: tuple[int, int], overlap: float, blend: Any
) -> None:
    images, network = example(3, *sides, 2), Echo()
    windowed = WindowedNetwork(network, Windows(32, overlap, blend), 8, 5000)
    np.testing.assert_allclose(windowed.predict_on_batch(images), images[..., :1], rtol=1e-5)
    assert {shape[1:3] for shape in network.shapes} == {tuple(min(32, side) for side in sides)}
    assert max(np.prod(shape[:3]) for shape in network.shapes) <= 5000


def test_a_volume_of_a_3d_network_is_divided_in_the_plane() -> None:
    images = example(2, 5, 48, 40, 1)
    windowed = WindowedNetwork(Echo(), Windows(16, 0.5), 8, 4000)
    np.testing.assert_allclose(windowed.predict_on_batch(images), images, rtol=1e-5)


def test_the_report_takes_the_plain_mean_of_all_windows() -> None:
    found = WindowedNetwork(Place(), Windows(32, 0.5, "mean"), 8, 10**6).predict_on_batch(
        np.zeros((1, 32, 64, 1), np.float32)
    )
    # Windows begin at 0, 16 and 32; voxel 40 lies 24 into the second and 8 into the third.
    assert found[0, 3, [0, 15, 20, 40, 63], 0].tolist() == [0, 15, (20 + 4) / 2, (24 + 8) / 2, 31]


def test_a_window_counts_less_towards_its_borders_and_its_halo_nothing() -> None:
    found = WindowedNetwork(Place(), Windows(32, 0.5, "taper", 4), 8, 10**6).predict_on_batch(
        np.zeros((1, 32, 48, 1), np.float32)
    )[0, 0, :, 0]
    # Two windows, from 0 and 16; between 20 and 28 the one goes over into the other.
    np.testing.assert_allclose(found[:20], np.arange(20), atol=1e-3)
    np.testing.assert_allclose(found[28:], np.arange(28, 48) - 16, atol=1e-3)
    assert (np.diff(found[19:29]) < 1).all()


@pytest.mark.parametrize(
    "values",
    [
        {"depth": 3, "upsampling": "resize"},
        {"depth": 2, "kernel": "5x5", "gate": "attention", "block": "residual"},
        {"depth": 2, "stem_stride": 2},
    ],
)
@pytest.mark.slow
@pytest.mark.usefixtures("device")
def test_no_voxel_beyond_the_radius_matters(values: dict[str, Any]) -> None:
    hp = Hyperparameters(filters=2, **values)
    network = with_probability(build_unet(hp))
    radius, side = receptive_radius(hp), 128
    image = example(1, side, side, 1)
    before = network.predict_on_batch(image)[0, ..., 0]
    image[0, 64, 64] += 100
    changed = np.argwhere(np.abs(network.predict_on_batch(image)[0, ..., 0] - before) > 1e-6)
    assert len(changed) > 0
    assert np.abs(changed - 64).max() <= radius


@pytest.mark.slow
@pytest.mark.usefixtures("device")
def test_windows_that_are_chosen_give_what_the_whole_section_gives() -> None:
    hp = Hyperparameters(filters=2, depth=2)
    network = with_probability(build_unet(hp))
    image = example(1, 160, 240, 1)
    whole = network.predict_on_batch(image)
    windows = choose_windows([hp], (160, 240), 100 * 100, at_all=140 * 140)
    assert windows is not None
    assert windows.size < 160
    windowed = WindowedNetwork(network, windows, hp.halvings, 100 * 100)
    np.testing.assert_allclose(windowed.predict_on_batch(image), whole, atol=1e-5)


def test_a_section_that_fits_is_not_divided() -> None:
    hp = Hyperparameters(depth=4)
    assert choose_windows([hp], (1000, 1000), 1008 * 1008) is None
    assert choose_windows([hp], (1000, 1000), 1008 * 1008 - 1) is not None


@pytest.mark.parametrize("most", [300_000, 1_000_000, 3_700_000])
@pytest.mark.parametrize("section", [(2048, 2048), (768, 3000), (1000, 1236)])
def test_windows_see_little_more_than_the_section(section: tuple[int, int], most: int) -> None:
    """The largest that fit can be the dearest: two of 1924 voxels for a side of 2048."""
    hp = Hyperparameters(depth=2)
    windows = choose_windows([hp], section, most)
    if windows is None:
        assert section[0] * section[1] <= most
        return
    network = Echo()
    WindowedNetwork(network, windows, hp.halvings, most).predict_on_batch(example(1, *section, 1))
    seen = [math.prod(shape[:-1]) for shape in network.shapes]
    assert max(seen) <= most
    assert sum(seen) < 1.6 * math.prod(section)


@pytest.mark.parametrize("depth", [1, 3, 5])
@pytest.mark.parametrize("section", [(260, 300), (64, 500)])
@pytest.mark.parametrize("most", [64 * 64, 110 * 110])
def test_windows_are_never_larger_than_memory(
    section: tuple[int, int], most: int, depth: int
) -> None:
    hp = Hyperparameters(depth=depth, kernel="5x5")
    windows = choose_windows([hp], section, most)
    assert windows is not None
    network, image = Echo(), example(1, *(-(-side // 32) * 32 for side in section), 1)
    found = WindowedNetwork(network, windows, hp.halvings, most).predict_on_batch(image)
    np.testing.assert_allclose(found, image, rtol=1e-5)
    assert max(math.prod(shape[:-1]) for shape in network.shapes) <= most
    radius = receptive_radius(hp)
    assert is_approximate(windows, [hp]) == (windows.halo < radius)
    # As much is kept as is seen around it.
    assert windows.size >= 4 * windows.halo + 16


def test_windows_lose_of_their_halo_only_what_memory_does_not_hold() -> None:
    hp = Hyperparameters(depth=4)
    least = -(-(4 * receptive_radius(hp) + 16) // hp.halvings) * hp.halvings
    whole = choose_windows([hp], (4000, 4000), least**2)
    tight = choose_windows([hp], (4000, 4000), least**2 - 1)
    assert whole is not None
    assert tight is not None
    assert (whole.size, whole.halo) == (least, receptive_radius(hp))
    assert tight.size == least - hp.halvings
    assert tight.halo < whole.halo
    assert is_approximate(tight, [hp])
    assert not is_approximate(whole, [hp])
    assert not is_approximate(None, [hp])
    # Where less is better but memory holds more, the halo is worth it.
    assert choose_windows([hp], (4000, 4000), least**2 - 1, at_all=least**2) == whole


def test_no_window_is_too_small_to_be_blended() -> None:
    for depth in (1, 3, 6):
        windows = choose_windows([Hyperparameters(depth=depth)], (2048, 2048), 1)
        assert windows is not None
        assert 0 < windows.overlap < 1


@pytest.mark.parametrize(
    ("values", "named"),
    [((0,), "window"), ((8, 1.0), "overlap"), ((8, -0.1), "overlap"), ((8, 0.5, "max"), "blend")],
)
def test_windows_that_cannot_be_are_refused(values: tuple[Any, ...], named: str) -> None:
    with pytest.raises(InputError, match=f"^{named}: expected"):
        Windows(*values)


def test_a_worker_that_may_use_less_than_is_free_has_less_room() -> None:
    network = [Hyperparameters(depth=2)]
    free = count_room(network)
    assert count_room(network, 10**15) == free
    assert count_room(network, 10**8) == pytest.approx(count_room(network, 2 * 10**8) / 2, rel=1e-3)
    assert count_room(network, 10**8) < free
    assert count_memory(network, 10**8) == count_room(network, 10**8)


def test_memory_holds_more_than_is_well_given_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network = [Hyperparameters(depth=2)]
    monkeypatch.setattr("trainer.windows.free_memory", lambda: 64 * 10**9)
    assert count_memory(network) == pytest.approx(8 * count_room(network), rel=1e-3)


@pytest.mark.parametrize(
    ("normalization", "same"), [("layer", True), ("group", True), ("batch", False)]
)
def test_what_is_normalized_by_image_is_given_as_much_wherever_it_can_be(
    monkeypatch: pytest.MonkeyPatch, normalization: str, same: bool
) -> None:
    network = [Hyperparameters(depth=2, normalization=normalization)]
    rooms = set()
    for free in (4 * 10**9, 10**10):
        monkeypatch.setattr("trainer.windows.free_memory", lambda free=free: free)
        rooms.add(count_room(network))
    assert (len(rooms) == 1) == same
