"""The arithmetic of the benchmarks of networks; what they measure is not for a test to say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks import (
    execution_modes,
    new_data,
    prediction,
    prediction_sides,
    sharing,
    side,
    training,
    training_sides,
)
from benchmarks.training_task import build_tiles, build_volume
from trainer.phantom import build_phantom


def test_sides_are_compared_turn_by_turn() -> None:
    def made(*rates: float) -> side.Side:
        made = side.Side.__new__(side.Side)
        made._unit = "images"
        made.blocks = [{"images": rate, "seconds": 1.0} for rate in rates]
        return made

    assert made(20, 10, 30).times_as_fast(made(10, 10, 10)) == 2.0
    assert made(20, 10, 30).rate == 20


def test_all_sides_of_training_learn_from_the_same_tiles() -> None:
    tiles = build_tiles(build_volume())
    images, masks = tiles.batch(0)
    assert images.shape == masks.shape == (8, 256, 256, 1)
    ones = np.ones((32, 384, 384), np.float32)
    image, mask = training_sides.classic_tile(ones, ones, 0)
    assert image.shape == mask.shape == (256, 256)
    assert set(training_sides.SIDES) == {*training._STEPS, "matrix"}


def test_every_way_to_run_the_network_is_tried_once() -> None:
    modes = execution_modes.modes(["float32", "mixed_bfloat16"])
    assert len({tuple(vars(mode).items()) for mode in modes}) == len(modes) == 10
    assert modes[0] == execution_modes.Mode("float32", jit=False, normalization="fused")
    assert sum(not mode.onednn for mode in modes) == 2


def test_the_fastest_way_is_named_and_one_that_failed_says_why() -> None:
    slow, fast, failed = execution_modes.modes(["float32"])[:3]
    summary = execution_modes.summarize(
        [
            (slow, {"images_per_second": 3.0}),
            (fast, {"images_per_second": 8.0}),
            (failed, {"error": "no result within 5 seconds"}),
        ],
        {"cores": 2},
    )
    assert summary["fastest"] == {**vars(fast), "images_per_second": 8.0}
    assert summary["modes"][2]["error"] == "no result within 5 seconds"
    assert execution_modes.summarize([(slow, {"error": "none"})], {})["fastest"] is None


def test_a_way_that_takes_too_long_or_fails_ends_no_benchmark() -> None:
    mode = execution_modes.Mode("float32", jit=False, normalization="fused")
    late = execution_modes.measure_apart(mode, 1, timeout_seconds=0.05)
    assert late == {"error": "no result within 0.05 seconds"}
    broken = execution_modes.Mode("float31", jit=False, normalization="fused")
    assert "float31" in execution_modes.measure_apart(broken, 1, timeout_seconds=600)["error"]


class _Ones:
    """A network that is sure of everything; it counts what it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def predict(self, images: np.ndarray, verbose: int) -> np.ndarray:
        self.asked += 1
        return np.ones_like(images)


@pytest.mark.parametrize(("overlap", "windows"), [(0.0, 3 * 4), (0.5, 5 * 7)])
def test_the_reports_windows_cover_a_section(overlap: float, windows: int) -> None:
    network = _Ones()
    found = prediction_sides.predict_as_report(network, np.zeros((768, 1024), np.float32), overlap)
    assert network.asked == windows
    assert (found == 1).all()


@pytest.mark.slow
def test_prediction_is_held_against_the_reports(capsys: pytest.CaptureFixture[str]) -> None:
    size = ["--sections", "1", "--height", "256", "--width", "272", "--turns", "1"]
    assert prediction.main([*size, "--filters", "2", "--depth", "1"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["voxels_per_second"] > 0
    assert told["ratio_windowed"] > 0
    assert set(told["sides_voxels_per_second"]) == {"whole_sections", "same_windows", "report"}


def test_the_operations_of_a_network_are_those_of_its_convolutions() -> None:
    from benchmarks.arithmetic import count_training_operations
    from trainer.device import configure_device
    from trainer.hyperparameters import Hyperparameters
    from trainer.unet import build_unet

    configure_device(1)  # before TensorFlow's first operation
    network = build_unet(Hyperparameters(depth=1, filters=2))
    inner = 9 * (2 * 4 + 4 * 4) * 4 * 4  # the centre, at half the resolution of tiles of 8
    outer = (9 * (1 * 2 + 2 * 2 + 4 * 2 + 2 * 2) + 4 * 2 + 2 * 1) * 8 * 8
    assert count_training_operations(network, 1, 8) == 3 * 2 * (inner + outer)


def test_trainings_that_share_a_device_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Training:
        told: Mapping[str, str] = {"ready": "a device"}
        at_work = 0

        def __init__(self, *arguments: Any) -> None:
            self.blocks: list[dict[str, float]] = []

        def await_ready(self) -> None:
            pass

        def begin_turn(self) -> None:
            Training.at_work += 1

        def await_turn(self) -> None:
            # Two of them get as much as one and a half.
            seconds = 1.0 if Training.at_work == 1 else 4 / 3
            self.blocks.append({"images": 10.0, "seconds": seconds, "waited": seconds / 10})

        def end(self) -> None:
            pass

    monkeypatch.setattr(sharing, "Side", Training)
    monkeypatch.setattr(sharing, "_measure_together", _resetting(sharing._measure_together))
    shared = sharing.measure([1, 2], blocks=1, steps=1)
    assert shared["device"] == "a device"
    assert shared["trainings"]["1"] == {"images_per_second": 10.0, "data_wait_share": 0.1}
    assert shared["trainings"]["2"] == {"images_per_second": 15.0, "data_wait_share": 0.1}


def _resetting(measure: Callable[..., Any]) -> Callable[..., Any]:
    def reset(sides: Sequence[Any], blocks: int) -> Any:
        type(sides[0]).at_work = 0
        return measure(sides, blocks)

    return reset


def test_the_second_half_is_the_same_tissue_under_another_microscope() -> None:
    volume = build_phantom(40, 100, 120, seed=1)
    first, second = new_data.cut_halves(volume)
    for half in (first, second):
        assert len(half.volume.raw) == 20
        assert max(half.train) + 5 < min(half.validation)
        assert max(half.validation) < 20
    np.testing.assert_array_equal(first.volume.raw, volume.raw[:20])
    assert second.volume.raw.shape == second.volume.mask.shape == (20, 80, 96)
    assert 40 <= second.volume.raw.min() < second.volume.raw.max() <= 190
    shares = [half.mean() for half in (second.volume.mask, volume.mask[20:])]
    assert shares[0] == pytest.approx(shares[1], rel=0.05)
