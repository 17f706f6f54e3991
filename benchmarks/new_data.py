"""A run that goes on from an earlier model on other data, and one from scratch.

`python -m benchmarks.new_data --raw RAW --mask MASK` prints JSON as its last line. A network is
trained on the first half of a volume. The second half is made to look as from another microscope:
another contrast, a blur, coarser pixels. There the same run is trained from random weights and
from the first network's, with the same tiles, once for each seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.machine import describe_machine
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.rescale import rescale_volume
from trainer.training_volume import TrainingVolume
from trainer.volume import Volume, load_volume

RUN = Hyperparameters(filters=8, depth=4, batch_size=4, learning_rate=2e-3)
TRAIN, VALIDATION = (0.0, 0.5), (0.75, 1.0)
"""Of each half, in shares of its sections, with a gap between."""

_GAMMA, _LEVELS, _BLUR = 1.5, (40, 190), 0.7
"""Of the other microscope: its curve, its darkest and brightest gray, its blur in pixels."""
_COARSER = 1.25


def cut_halves(volume: Volume) -> tuple[TrainingVolume, TrainingVolume]:
    """The first half as it is, the second as another microscope would have it."""
    middle = len(volume.raw) // 2
    first, second = (
        replace(volume, raw=volume.raw[part], mask=volume.mask[part])
        for part in (slice(middle), slice(middle, None))
    )
    return _for_training(first, "first"), _for_training(change_microscope(second), "second")


def change_microscope(volume: Volume) -> Volume:
    """The same tissue in coarser pixels, with another contrast and a blur.

    Raises:
        InputError: Its gray values are not of 8 bits.
    """
    if volume.raw.dtype != np.uint8:
        raise InputError(f"raw: expected gray values of 8 bits, got {volume.raw.dtype}")
    # Nothing but the ratio matters here.
    z, y, x = size = volume.voxel_size_nm or (1.0, 1.0, 1.0)
    known = replace(volume, voxel_size_nm=size)
    coarse = rescale_volume(known, (z, y * _COARSER, x * _COARSER))
    low, high = _LEVELS
    curve = np.linspace(0, 1, 256) ** _GAMMA * (high - low) + low
    changed = [
        cv2.GaussianBlur(curve[section].astype(np.uint8), (0, 0), _BLUR) for section in coarse.raw
    ]
    return replace(coarse, raw=np.stack(changed))


def measure(volume: Volume, seeds: list[int], tiles: int, earlier_tiles: int) -> dict[str, Any]:
    """Dice on the second half's validation sections, of each seed from scratch and going on."""
    from trainer.device import configure_device

    device = configure_device(2)
    first, second = cut_halves(volume)
    with tempfile.TemporaryDirectory() as folder:
        weights, before = _train_earlier(first, earlier_tiles, device.precision, Path(folder))
    dice: dict[str, list[float]] = {"from_scratch": [], "from_model": []}
    for seed in seeds:
        for name, given in (("from_scratch", None), ("from_model", weights)):
            dice[name].append(_train(second, tiles, seed, device.precision, given)[0])
        _say(f"seed {seed}: " + ", ".join(f"{name} {each[-1]:.4f}" for name, each in dice.items()))
    gains = [on - anew for on, anew in zip(dice["from_model"], dice["from_scratch"], strict=True)]
    return {
        "dice": dice,
        "gain": round(statistics.median(gains), 4),
        "earlier_dice": before,
        "tiles": tiles,
        "earlier_tiles": earlier_tiles,
        "precision": device.precision,
    }


def _for_training(volume: Volume, name: str) -> TrainingVolume:
    train, validation = (
        range(round(share[0] * len(volume.raw)), round(share[1] * len(volume.raw)))
        for share in (TRAIN, VALIDATION)
    )
    return TrainingVolume.measure(volume, train, validation, name)


def _train_earlier(
    volume: TrainingVolume, tiles: int, precision: str, folder: Path
) -> tuple[Mapping[str, np.ndarray], float]:
    """A model as a search leaves it, read again as `[start] from` does."""
    from trainer.earlier_model import EarlierModel
    from trainer.model import build_model, save_model

    dice, state = _train(volume, tiles, 0, precision, None)
    _say(f"the earlier model: {dice:.4f}")
    card = {"data": {"voxel_size_nm": volume.volume.voxel_size_nm}}
    save_model(build_model(RUN, state, threshold=0.5, card=card), folder / "model")
    return EarlierModel.read(folder / "model").weights(), dice


def _train(
    volume: TrainingVolume,
    tiles: int,
    seed: int,
    precision: str,
    weights: Mapping[str, np.ndarray] | None,
) -> tuple[float, dict[str, np.ndarray]]:
    """The Dice after the last tile, and the state there."""
    from trainer.session import TrainingPlan, TrainingSession

    session = TrainingSession(
        [volume], RUN, TrainingPlan(1, tiles, seed), precision=precision, threads=2
    )
    if weights is not None:
        session.begin_with(weights)
    scores, state = session.advance().scores, session.state()
    session.close()
    return round(scores.dice, 4), state


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser("python -m benchmarks.new_data", description=__doc__)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--mask", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--tiles", type=int, default=200, help="of 256 x 256, on the second half")
    parser.add_argument("--earlier-tiles", type=int, default=1000, help="on the first half")
    options = parser.parse_args()
    machine = describe_machine()
    try:
        volume = load_volume(options.raw, options.mask)
        figures = measure(volume, options.seeds, options.tiles, options.earlier_tiles)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps({**figures, "machine": machine}))
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
