"""Voxels per second of prediction, beside the report's mean over windows, taking turns.

`python -m benchmarks.prediction` prints JSON as its last line. The report of 2019 predicts a
section in windows of 256 x 256 with Keras's own layers in float32, one `predict` for each, and
takes the mean where they overlap. This project predicts whole sections in the precision that the
device is fast in (`ratio_windowed`); its own version of the report's windows, at the same overlap,
is timed as well (`ratio_same_windows`).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine

_WINDOW = 256


def window_starts(length: int, overlap: float) -> list[int]:
    """Where the report's windows begin along a side: evenly, the last one at its end."""
    stride = max(1, int(_WINDOW * (1 - overlap)))
    count = -(-(length - _WINDOW) // stride) + 1
    return [round(place) for place in np.linspace(0, length - _WINDOW, count)]


def predict_as_report(network: Any, section: np.ndarray, overlap: float) -> np.ndarray:
    """The mean over all windows of a section of intensities, (y, x)."""
    total, seen = np.zeros(section.shape), np.zeros(section.shape)
    starts = (window_starts(length, overlap) for length in section.shape)
    for y, x in product(*starts):
        part = (slice(y, y + _WINDOW), slice(x, x + _WINDOW))
        output = network.predict(section[part][np.newaxis, ..., np.newaxis], verbose=0)
        total[part] += output[0, ..., 0]
        seen[part] += 1
    return total / seen


def _build_sides(arguments: argparse.Namespace) -> tuple[dict[str, Callable[[], int]], int, str]:
    """Each side's turn, which gives the voxels it predicted; the parameters; the device."""
    from trainer.device import configure_device
    from trainer.hyperparameters import Hyperparameters
    from trainer.intensity import Intensity
    from trainer.model import Model, in_precision
    from trainer.prediction import PredictionOptions, prepare_prediction
    from trainer.unet import build_unet, with_probability
    from trainer.windows import Windows

    device = configure_device(arguments.threads)
    hp = Hyperparameters(filters=arguments.filters, depth=arguments.depth, tile_size=256)
    stock = with_probability(build_unet(hp, stock=True))
    model = in_precision(Model(stock, hp, 0.5, {}), device.precision)
    shape = (arguments.sections, arguments.height, arguments.width)
    raw = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    intensity = Intensity.measure(raw)

    def ours(options: PredictionOptions, sections: int) -> int:
        for _ in prepare_prediction(model, raw[:sections], None, options).sections():
            pass
        return sections * raw[0].size

    def as_report() -> int:
        predict_as_report(stock, intensity.scale(raw[0]), arguments.overlap)
        return int(raw[0].size)

    windows = PredictionOptions(windows=Windows(_WINDOW, arguments.overlap, "mean"))
    sides: dict[str, Callable[[], int]] = {
        "whole_sections": lambda: ours(PredictionOptions(), len(raw)),
        "same_windows": lambda: ours(windows, 1),
        "report": as_report,
    }
    return sides, stock.count_params(), f"{device.name}, {device.precision}"


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Lets the sides take turns, after one turn each that traces and fills the caches."""
    sides, parameters, device = _build_sides(arguments)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(arguments.turns + 1):
        for name, side in sides.items():
            started = time.perf_counter()
            voxels = side()
            if turn > 0:
                rates[name].append(voxels / (time.perf_counter() - started))
        shown = ", ".join(f"{name} {each[-1]:,.0f}" for name, each in rates.items() if each)
        print(f"turn {turn} of {arguments.turns}: {shown or 'warm'}", file=sys.stderr, flush=True)
    return {
        "voxels_per_second": round(statistics.median(rates["whole_sections"])),
        "ratio_windowed": _ratio(rates["whole_sections"], rates["report"]),
        "ratio_same_windows": _ratio(rates["same_windows"], rates["report"]),
        "sides_voxels_per_second": {
            name: round(statistics.median(each)) for name, each in rates.items()
        },
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "parameters": parameters,
        "device": device,
    }


def _ratio(ours: list[float], theirs: list[float]) -> float:
    """The median over turns of how many times faster ours was."""
    return round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 3)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sections", type=int, default=8, help="of a turn of whole sections")
    parser.add_argument("--height", type=int, default=768, help=f"voxels, at least {_WINDOW}")
    parser.add_argument("--width", type=int, default=1024, help=f"voxels, at least {_WINDOW}")
    parser.add_argument("--overlap", type=float, default=0.5, help="of windows, as a share")
    parser.add_argument("--turns", type=int, default=5, help="of each side")
    parser.add_argument("--filters", type=int, default=16, help="at the network's first level")
    parser.add_argument("--depth", type=int, default=4, help="of the network")
    parser.add_argument("--threads", type=int, default=None, help="cores; all by default")
    arguments = parser.parse_args(argv)
    if min(arguments.height, arguments.width) < _WINDOW:
        parser.error(f"--height and --width: expected at least {_WINDOW}")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Measures and prints."""
    arguments = _parse(argv)
    machine = describe_machine()
    figures = measure(arguments)
    print(json.dumps({**figures, "machine": machine, "run": vars(arguments)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
