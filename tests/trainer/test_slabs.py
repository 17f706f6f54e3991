from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trainer.hyperparameters import Hyperparameters
from trainer.intensity import Intensity
from trainer.predict import predict_sections, to_uint8
from trainer.slabs import Slab, plan_slabs

IDENTITY = Intensity(0.0, 1.0)
HP = Hyperparameters(dimensions="3d", depth=2, tile_sections=8, tile_size=32)


def test_slabs_overlap_by_a_quarter_at_either_end() -> None:
    assert list(plan_slabs(range(10, 24), 8)) == [
        Slab(tuple(range(10, 18)), slice(0, 6)),
        Slab(tuple(range(14, 22)), slice(2, 6)),
        Slab(tuple(range(16, 24)), slice(4, 8)),
    ]


@pytest.mark.parametrize("sections", [1, 2, 3, 4, 8, 16, 19])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 16, 33])
def test_every_section_is_kept_once_in_its_order_and_away_from_the_ends(
    count: int, sections: int
) -> None:
    block = range(100, 100 + count)
    slabs = list(plan_slabs(block, sections))
    assert [z for slab in slabs for z in slab.seen[slab.kept]] == list(block)
    for slab in slabs:
        assert len(slab.seen) == sections
        assert set(slab.seen) <= set(block)
        for z in slab.seen[slab.kept]:
            if count > sections:
                reach = min(sections // 4, z - block[0], block[-1] - z)
                assert {z - reach, z + reach} <= set(slab.seen)


def test_a_block_of_too_few_sections_is_mirrored() -> None:
    (slab,) = plan_slabs(range(4, 7), 8)
    assert slab == Slab((4, 5, 6, 5, 4, 5, 6, 5), slice(0, 3))
    (single,) = plan_slabs([9], 4)
    assert single == Slab((9, 9, 9, 9), slice(0, 1))
    assert list(plan_slabs([], 4)) == []


class Echo:
    """A 3D network whose probabilities are its input; it keeps the shapes that it was given."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        self.shapes.append(images.shape)
        return images


class Lazy:
    """Sections that are read one by one; it keeps which."""

    def __init__(self, sections: np.ndarray) -> None:
        self._sections, self.shape, self.read = sections, sections.shape, list[int]()

    def __len__(self) -> int:
        return len(self._sections)

    def __getitem__(self, section: int) -> np.ndarray:
        self.read.append(section)
        return self._sections[section]


def example(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype(np.float32)


@pytest.mark.parametrize("views", [1, 8])
@pytest.mark.parametrize("count", [1, 5, 8, 21])
def test_whole_sections_of_any_size_come_back_in_their_order(count: int, views: int) -> None:
    raw, network = example(count, 13, 22), Echo()
    found = list(predict_sections(network, raw, IDENTITY, HP, views=views))
    assert [section for section, _ in found] == list(range(count))
    for section, probability in found:
        assert np.abs(probability.astype(int) - to_uint8(raw[section])).max() <= 1
    # Turned views are higher than wide.
    assert set(network.shapes) <= {(1, 8, 16, 24, 1), (1, 8, 24, 16, 1)}


def test_a_slab_is_read_when_it_is_its_turn() -> None:
    raw = Lazy(example(40, 8, 8))
    sections = predict_sections(Echo(), raw, IDENTITY, HP, sections=range(5, 40))  # type: ignore[arg-type]
    assert next(sections)[0] == 5
    assert raw.read == list(range(5, 13))


class Above:
    """Says of each section what the one above it is."""

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        return np.roll(images, 1, axis=1)


def test_the_network_sees_the_block_alone() -> None:
    raw = np.arange(30, dtype=np.float32)[:, None, None] / 100 * np.ones((30, 8, 8), np.float32)
    found: dict[int, Any] = dict(
        predict_sections(Above(), raw, IDENTITY, HP, sections=range(3, 20))
    )
    levels = {section: float(values[4, 4]) / 2.55 for section, values in found.items()}
    # The first of the block has none above it: the roll shows it the last of its slab.
    assert levels.pop(3) == pytest.approx(10, abs=0.3)
    assert all(level == pytest.approx(section - 1, abs=0.3) for section, level in levels.items())
