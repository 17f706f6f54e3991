from __future__ import annotations

import numpy as np
import pytest

from trainer.views import mean_over_views


def _example(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype(np.float32)


@pytest.mark.parametrize("size", [(1, 1), (5, 5), (4, 7)])
def test_every_view_is_turned_back(size: tuple[int, int]) -> None:
    images = _example(2, *size)
    np.testing.assert_allclose(mean_over_views(lambda seen: seen, images, 8), images, rtol=1e-6)


def test_the_eight_views_are_all_different() -> None:
    seen: list[bytes] = []

    def note(images: np.ndarray) -> np.ndarray:
        seen.append(np.ascontiguousarray(images).tobytes())
        return images

    mean_over_views(note, _example(1, 4, 4), 8)
    assert len(set(seen)) == len(seen) == 8


def test_a_prediction_by_position_becomes_symmetric() -> None:
    def corner(images: np.ndarray) -> np.ndarray:
        marked = np.zeros_like(images)
        marked[:, 0, 0] = 1
        return marked

    mean = mean_over_views(corner, _example(1, 3, 3), 8)[0]
    assert mean.sum() == pytest.approx(1)
    np.testing.assert_allclose(mean[[0, 0, -1, -1], [0, -1, 0, -1]], 0.25)


def test_one_view_is_the_image_as_it_is() -> None:
    images = _example(2, 3, 5)
    assert mean_over_views(lambda seen: seen, images, 1) is images
