"""Three ways to predict a section, each in a process of its own."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np

from benchmarks.side import serve

WINDOW = 256
"""The edge of the report's windows, in voxels."""

Predict = Callable[[], int]
"""Predicts, and gives how many voxels."""


def window_starts(length: int, overlap: float) -> list[int]:
    """Where the report's windows begin along a side: evenly, the last one at its end."""
    stride = max(1, int(WINDOW * (1 - overlap)))
    count = -(-(length - WINDOW) // stride) + 1
    return [round(place) for place in np.linspace(0, length - WINDOW, count)]


def predict_as_report(network: Any, section: np.ndarray, overlap: float) -> np.ndarray:
    """The mean over all windows of a section of intensities, (y, x)."""
    total, seen = np.zeros(section.shape), np.zeros(section.shape)
    starts = (window_starts(length, overlap) for length in section.shape)
    for y, x in product(*starts):
        part = (slice(y, y + WINDOW), slice(x, x + WINDOW))
        output = network.predict(section[part][np.newaxis, ..., np.newaxis], verbose=0)
        total[part] += output[0, ..., 0]
        seen[part] += 1
    return total / seen


def build_report_side(run: Mapping[str, Any]) -> tuple[Predict, dict[str, Any]]:
    """The report's mean over windows, with Keras's own layers and TensorFlow as it comes."""
    os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)
    import keras  # before this project, which would set it

    from trainer.intensity import Intensity

    raw = _sections(run, 1)
    network, scaled = _build_model(run).network, Intensity.measure(raw).scale(raw[0])

    def predict() -> int:
        predict_as_report(network, scaled, run["overlap"])
        return int(raw.size)

    return predict, {"keras": keras.__version__}


def build_windows_side(run: Mapping[str, Any]) -> tuple[Predict, dict[str, Any]]:
    """This project with the report's windows."""
    from trainer.prediction import PredictionOptions
    from trainer.windows import Windows

    options = PredictionOptions(windows=Windows(WINDOW, run["overlap"], "mean"))
    return _build_side(run, options, sections=1)


def build_sections_side(run: Mapping[str, Any]) -> tuple[Predict, dict[str, Any]]:
    """This project as it predicts by default."""
    from trainer.prediction import PredictionOptions

    return _build_side(run, PredictionOptions(), sections=run["sections"])


def _build_side(
    run: Mapping[str, Any], options: Any, *, sections: int
) -> tuple[Predict, dict[str, Any]]:
    from trainer.device import configure_device
    from trainer.model import in_precision
    from trainer.prediction import prepare_prediction

    device = configure_device(run["threads"])
    model = in_precision(_build_model(run), device.precision)
    raw = _sections(run, sections)

    def predict() -> int:
        for _ in prepare_prediction(model, raw, None, options).sections():
            pass
        return int(raw.size)

    parameters = model.network.count_params()
    return predict, {"parameters": parameters, "device": f"{device.name}, {device.precision}"}


def _build_model(run: Mapping[str, Any]) -> Any:
    from trainer.hyperparameters import Hyperparameters
    from trainer.model import Model
    from trainer.unet import build_unet, with_probability

    shape = {name: run[name] for name in ("filters", "depth", "stem_stride")}
    hp = Hyperparameters(tile_size=WINDOW, **shape)
    return Model(with_probability(build_unet(hp, stock=True)), hp, 0.5, {})


def _sections(run: Mapping[str, Any], count: int) -> np.ndarray:
    shape = (count, run["height"], run["width"])
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


SIDES: Mapping[str, Callable[[Mapping[str, Any]], tuple[Predict, dict[str, Any]]]] = {
    "whole_sections": build_sections_side,
    "same_windows": build_windows_side,
    "report": build_report_side,
}


def main() -> None:
    """Serves the side that the first argument names, for the run that the second describes."""
    predict, told = SIDES[sys.argv[1]](json.loads(sys.argv[2]))

    def block() -> dict[str, float]:
        started = time.perf_counter()
        voxels = predict()
        return {"voxels": voxels, "seconds": time.perf_counter() - started}

    serve(block, told)


if __name__ == "__main__":
    main()
