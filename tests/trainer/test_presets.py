from __future__ import annotations

import pytest

from trainer.hyperparameters import Hyperparameters
from trainer.presets import PRESETS


@pytest.mark.parametrize(
    ("name", "filters"),
    [
        ("report_2019", (32, 64, 128, 256, 512, 1024)),
        ("report_2019_16_filters_added", (16, 32, 64, 128, 256, 512, 1024)),
        ("report_2019_2048_filters_added", (32, 64, 128, 256, 512, 1024, 2048)),
        ("report_2019_32_filters_removed", (64, 128, 256, 512, 1024)),
    ],
)
def test_the_levels_are_those_of_the_report(name: str, filters: tuple[int, ...]) -> None:
    assert Hyperparameters.from_mapping(PRESETS[name]).level_filters == filters


def test_each_change_of_the_report_is_one_of_a_single_value() -> None:
    base = PRESETS["report_2019"]
    changes = [{n: v for n, v in values.items() if v != base[n]} for values in PRESETS.values()]
    assert changes == [{}, {"outer_levels": 1}, {"centre_levels": 1}, {"outer_levels": -1}]
    assert base["dimensions"] == "2d"


@pytest.mark.parametrize("name", PRESETS)
def test_nothing_of_the_report_was_augmented_or_scheduled(name: str) -> None:
    run = Hyperparameters.from_mapping(PRESETS[name])
    probabilities = {key: value for key, value in run.to_mapping().items() if "probability" in key}
    assert set(probabilities.values()) == {0.0}
    assert (run.optimizer, run.learning_rate, run.epsilon) == ("adam", 1e-3, 1e-7)
    assert (run.schedule, run.tile_size, run.tile_placement) == ("constant", 256, "grid")
