from __future__ import annotations

import numpy as np
import pytest

from trainer.example import Example
from trainer.intensity import Intensity
from trainer.volume import Volume

INTENSITY = Intensity(0.0, 255.0)


def volume(height: int = 32, width: int = 32) -> Volume:
    raw = np.full((40, height, width), 128, np.uint8)
    mask = np.zeros_like(raw)
    mask[10, :8, :8] = 1
    mask[13, : height // 2, : width // 2] = 1
    return Volume(raw, mask, None)


def test_the_section_with_most_foreground_is_shown() -> None:
    assert Example(volume(), range(5, 20)).section == 13
    assert Example(volume(), range(5, 12)).section == 10
    assert Example(volume(), range(30, 40)).section in range(30, 40)


def test_missed_is_blue_false_is_red_and_the_rest_is_gray() -> None:
    example = Example(volume(), range(5, 20))
    probability = np.zeros((32, 32), np.uint8)
    probability[20:30, 20:30] = 200
    example.take(13, probability)
    drawn = example.draw(INTENSITY, 0.5)
    assert drawn.shape == (512, 512, 3)
    red, _, blue = drawn[25 * 16, 25 * 16].astype(int)
    assert red > blue + 50
    red, _, blue = drawn[4 * 16, 4 * 16].astype(int)
    assert blue > red + 50
    assert len(set(drawn[5 * 16, 25 * 16].tolist())) == 1


def test_other_sections_and_epochs_before_are_not_shown() -> None:
    example = Example(volume(), range(5, 20))
    with pytest.raises(RuntimeError, match="nothing has been predicted"):
        example.draw(INTENSITY, 0.5)
    example.take(10, np.full((32, 32), 255, np.uint8))
    with pytest.raises(RuntimeError, match="nothing has been predicted"):
        example.draw(INTENSITY, 0.5)
    example.take(13, np.full((32, 32), 255, np.uint8))
    first = example.draw(INTENSITY, 0.5)
    example.take(13, np.zeros((32, 32), np.uint8))
    assert (example.draw(INTENSITY, 0.5) != first).any()


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((2000, 1500), (1024, 768)),
        ((40, 3000), (14, 1024)),
        ((600, 20), (600, 20)),
        ((100, 120), (400, 480)),
    ],
)
def test_a_picture_has_a_size_to_be_looked_at(
    size: tuple[int, int], shown: tuple[int, int]
) -> None:
    example = Example(volume(*size), range(5, 20))
    example.take(13, np.zeros(size, np.uint8))
    assert example.draw(INTENSITY, 0.5).shape == (*shown, 3)
