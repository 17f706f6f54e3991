from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trainer.hyperparameters import Hyperparameters
from trainer.model import Model
from trainer.specimen import cut_specimen
from trainer.volume import Volume


class Network:
    """A network of which the shape alone is asked for."""

    def __init__(self, *shape: int | None) -> None:
        self.input_shape = shape


def model_of(rank: int, **values: Any) -> Model:
    hyperparameters = Hyperparameters(filters=4, tile_size=32, **values)
    shape = [None] * (rank - 1) + [hyperparameters.section_channels]
    return Model(Network(*shape), hyperparameters, 0.5, {})


def volume_of(sections: int, height: int, width: int, *, at: tuple[int, int, int]) -> Volume:
    """Gray values that tell where they are from, and one spot of foreground."""
    raw = np.arange(sections * height * width, dtype=np.float32).reshape(sections, height, width)
    mask = np.zeros(raw.shape, np.uint8)
    z, y, x = at
    mask[z, y : y + 4, x : x + 4] = 1
    return Volume(raw, mask, None)


def test_the_foreground_is_in_the_cut() -> None:
    volume = volume_of(6, 300, 400, at=(3, 290, 390))
    cut = cut_specimen(model_of(4, depth=2), volume, range(6))
    assert (cut.shape, cut.dtype) == ((1, 256, 256, 1), np.float32)
    assert np.isin(volume.raw[3, 290:294, 390:394], cut).all()


def test_neighbouring_sections_are_channels_in_their_order() -> None:
    volume = volume_of(6, 64, 64, at=(3, 30, 30))
    cut = cut_specimen(model_of(4, depth=2, section_channels=3), volume, range(6))
    np.testing.assert_array_equal(cut[0], np.moveaxis(volume.raw[2:5], 0, -1))


def test_no_section_outside_the_block_is_shown() -> None:
    volume = volume_of(6, 64, 64, at=(5, 30, 30))
    cut = cut_specimen(model_of(4, depth=2, section_channels=3), volume, range(1, 5))
    assert cut.min() >= volume.raw[1].min()
    assert cut.max() <= volume.raw[4].max()


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_a_small_volume_is_mirrored_to_what_the_network_takes(depth: int) -> None:
    model = model_of(4, depth=depth)
    cut = cut_specimen(model, volume_of(3, 21, 34, at=(1, 5, 5)), range(3))
    _, height, width, _ = cut.shape
    assert height % model.halvings == width % model.halvings == 0
    assert min(height, width) >= 5 * model.halvings


def test_a_3d_network_gets_a_block() -> None:
    volume = volume_of(40, 96, 96, at=(30, 40, 40))
    cut = cut_specimen(model_of(5, depth=2, dimensions="3d"), volume, range(8, 40))
    assert cut.shape == (1, 32, 64, 64, 1)
    assert np.isin(volume.raw[30, 40:44, 40:44], cut).all()
