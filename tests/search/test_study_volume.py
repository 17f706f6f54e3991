from __future__ import annotations

import numpy as np
import pytest

from search.study_volume import StudyVolume
from trainer.split import Split
from trainer.volume import Volume


def study_volume(validation: range, foreground: dict[int, int]) -> StudyVolume:
    """Thirty sections, of which some have so many voxels of foreground."""
    mask = np.zeros((30, 16, 16), np.uint8)
    for section, voxels in foreground.items():
        mask[section].flat[:voxels] = 1
    raw = np.random.default_rng(0).integers(0, 255, mask.shape, np.uint8)
    volume = Volume(raw, mask, None)
    return StudyVolume(volume, Split(range(10), validation, None, 2, range(30)))


def test_training_sections_are_judged_by_the_whole_block() -> None:
    learned = study_volume(range(12, 24), {14: 9}).for_training("train")
    assert (learned.train, learned.validation) == (range(10), range(12, 24))


@pytest.mark.parametrize(
    ("validation", "foreground", "seen"),
    [
        (range(12, 24), {17: 9, 18: 5}, range(15, 19)),
        (range(12, 24), {12: 9}, range(12, 16)),
        (range(12, 24), {23: 9}, range(20, 24)),
        (range(12, 24), {5: 9}, range(12, 16)),
        (range(12, 14), {13: 9}, range(12, 14)),
    ],
)
def test_where_all_was_trained_on_a_few_are_looked_at(
    validation: range, foreground: dict[int, int], seen: range
) -> None:
    """Around the most foreground: without any a network that finds none would seem collapsed."""
    volume = study_volume(validation, foreground)
    learned = volume.for_training("all")
    assert (learned.train, learned.validation) == (volume.split.all, seen)
