from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trainer import predict as module
from trainer.errors import Diverged
from trainer.hyperparameters import Hyperparameters
from trainer.intensity import Intensity
from trainer.predict import predict_sections, to_uint8
from trainer.unet import build_unet, with_probability

IDENTITY = Intensity(0.0, 1.0)


class Echo:
    """A network whose probabilities are its input; it keeps the shapes that it was given."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        self.shapes.append(images.shape)
        return images


def predict(
    raw: np.ndarray,
    network: Any = None,
    *,
    depth: int = 3,
    section_channels: int = 1,
    section_step: int = 1,
    **options: Any,
) -> dict[int, np.ndarray]:
    run = Hyperparameters(depth=depth, section_channels=section_channels, section_step=section_step)
    return dict(predict_sections(network or Echo(), raw, IDENTITY, run, **options))


def example(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype(np.float32)


SIZES = [(1, 1), (1, 40), (3, 5), (7, 8), (8, 8), (9, 17), (33, 31), (64, 40), (101, 67)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("depth", [1, 3, 5])
def test_any_size_comes_back_as_it_was(size: tuple[int, int], depth: int) -> None:
    raw, network, halvings = example(2, *size), Echo(), 2**depth
    sections = predict(raw, network, depth=depth)
    for number in range(2):
        assert sections[number].dtype == np.uint8
        assert np.array_equal(sections[number], np.rint(raw[number] * 255))
    ((_, height, width, _),) = set(network.shapes)
    assert (height % halvings, width % halvings) == (0, 0)
    assert (height - size[0], width - size[1]) < (halvings, halvings)


@pytest.mark.parametrize("size", [(37, 45), (40, 45), (37, 48)])
@pytest.mark.usefixtures("device")
def test_a_section_is_predicted_as_if_it_were_mirrored(size: tuple[int, int]) -> None:
    network = with_probability(build_unet(Hyperparameters(filters=2, depth=3)))
    raw = example(1, *size)
    padded = np.pad(raw, ((0, 0), (0, -size[0] % 8), (0, -size[1] % 8)), mode="reflect")
    whole = np.asarray(network(padded[..., np.newaxis], training=False))
    expected = to_uint8(whole[0, : size[0], : size[1], 0])
    found = predict(raw, network)[0]
    assert np.ptp(expected) > 10
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("sections", [[], [3], [4, 1], range(2, 5)])
def test_only_the_sections_asked_for_are_predicted_in_that_order(sections: Any) -> None:
    raw = example(6, 16, 16)
    found = predict(raw, sections=sections)
    assert list(found) == list(sections)
    for number, probability in found.items():
        assert np.array_equal(probability, to_uint8(raw[number]))


@pytest.mark.parametrize("voxels", [1, 300, 600, 10**6])
def test_large_sections_go_through_the_network_in_small_batches(
    monkeypatch: pytest.MonkeyPatch, voxels: int
) -> None:
    monkeypatch.setattr(module, "_BATCH_VOXELS", voxels)
    network = Echo()
    raw = example(5, 16, 16)
    found = predict(raw, network)
    assert [np.array_equal(found[z], to_uint8(raw[z])) for z in range(5)] == [True] * 5
    assert sum(shape[0] for shape in network.shapes) == 5
    assert max(shape[0] for shape in network.shapes) == min(5, max(2, voxels // 256))


def test_huge_sections_go_through_the_network_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGE_VOXELS", 3 * 16 * 16)
    monkeypatch.setattr(module, "_BATCH_VOXELS", 1)
    for channels, batch in ((3, 2), (5, 1)):
        network = Echo()
        predict(example(4, 16, 16), network, section_channels=channels)
        assert {shape[0] for shape in network.shapes} == {batch}


def test_the_scale_of_the_volume_is_applied() -> None:
    raw = np.array([[[100, 150, 200, 250]]], np.uint16)
    ((_, found),) = predict_sections(Echo(), raw, Intensity(100.0, 200.0), Hyperparameters(depth=1))
    assert found.tolist() == [[0, 128, 255, 255]]


def test_probabilities_that_are_no_numbers_are_divergence() -> None:
    raw = example(1, 8, 8)
    raw[0, 3, 3] = np.nan
    with pytest.raises(Diverged, match="no longer numbers"):
        predict(raw)


def test_probabilities_are_rounded_to_the_nearest_of_256() -> None:
    given = np.array([-0.5, 0.0, 0.4 / 255, 0.6 / 255, 0.5, 1.0, 1.5])
    assert to_uint8(given).tolist() == [0, 0, 0, 1, 128, 255, 255]


class Spread:
    """Says how far the channels lie from the middle one, in units of a hundredth."""

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        return np.abs(images[..., [0]] - images[..., [images.shape[-1] // 2]])


@pytest.mark.parametrize("views", [1, 8])
@pytest.mark.parametrize(
    "channels", [{"section_channels": 5}, {"section_channels": 3, "section_step": 2}]
)
def test_a_network_sees_its_neighbours_within_the_block(
    channels: dict[str, int], views: int
) -> None:
    raw = np.arange(8, dtype=np.float32)[:, None, None] / 100 * np.ones((8, 16, 16), np.float32)
    found = predict(raw, Spread(), sections=range(2, 7), views=views, **channels)
    below = {section: int(probability[3, 4]) for section, probability in found.items()}
    # Two sections apart is 0.02, 5 of 255; at the lower end of the block there is none below.
    assert below == {2: 0, 3: 3, 4: 5, 5: 5, 6: 5}
