"""A training step of this project beside Keras's `train_on_batch`, on a network of little work.

`python -m benchmarks.training_step` prints one JSON object: milliseconds a step, medians of blocks
that take turns. Network and tiles are small, so that what a step costs beside its arithmetic shows.
It runs under any of Keras's frameworks (KERAS_BACKEND), JAX and PyTorch where they are installed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine
from trainer.device import configure_device
from trainer.hyperparameters import Hyperparameters

_RUN = Hyperparameters(depth=4, filters=4, tile_size=32, batch_size=1)
_WARM_STEPS = 3

Steps = Callable[[int], None]
"""Makes so many steps, and returns when the last has been made."""


def build_ours(images: np.ndarray, masks: np.ndarray) -> Steps:
    """Steps as a training session makes them."""
    from trainer.training_record import TrainingRecord
    from trainer.training_step import build_training_step

    network, optimizer, loss = _build()
    step = build_training_step(network, optimizer, loss)

    def make(steps: int) -> None:
        record = TrainingRecord(1)
        for _ in range(steps):
            record.add(step.make(images, masks))
        record.finish()
        step.settle()

    return make


def build_keras(images: np.ndarray, masks: np.ndarray) -> Steps:
    """Steps of `train_on_batch`."""
    import keras

    network, optimizer, loss = _build()
    # TensorFlow is faster without XLA on a CPU; JAX is nothing without it.
    jit = False if keras.backend.backend() == "tensorflow" else "auto"
    network.compile(optimizer=optimizer, loss=loss, jit_compile=jit)

    def make(steps: int) -> None:
        for _ in range(steps):
            network.train_on_batch(images, masks)

    return make


def measure(blocks: int, steps: int) -> dict[str, Any]:
    """Milliseconds a step of both sides, and their ratio."""
    import keras

    machine, device = describe_machine(), configure_device()
    random, shape = np.random.default_rng(0), (_RUN.batch_size, *_RUN.tile_shape, 1)
    images = random.random(shape, np.float32)
    masks = (images > 0.5).astype(np.float32)
    sides = {"ours": build_ours(images, masks), "train_on_batch": build_keras(images, masks)}
    for make in sides.values():
        make(_WARM_STEPS)
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(blocks):
        for name, make in sides.items():
            started = time.perf_counter()
            make(steps)
            times[name].append((time.perf_counter() - started) / steps * 1000)
    ratios = [b / a for a, b in zip(times["ours"], times["train_on_batch"], strict=True)]
    return {
        "milliseconds_a_step": {n: round(statistics.median(t), 2) for n, t in times.items()},
        "ratio_train_on_batch": round(statistics.median(ratios), 3),
        "framework": keras.backend.backend(),
        "device": device.name,
        "blocks": blocks,
        "steps_a_block": steps,
        "machine": machine,
    }


def _build() -> tuple[Any, Any, Any]:
    from trainer.losses import build_loss
    from trainer.optimizer import build_optimizer
    from trainer.unet import build_unet

    network = build_unet(_RUN)
    optimizer = build_optimizer(_RUN, 1000)
    optimizer.build(network.trainable_variables)
    return network, optimizer, build_loss(_RUN)


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser("python -m benchmarks.training_step", description=__doc__)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--steps", type=int, default=50, help="of a block")
    options = parser.parse_args()
    print(json.dumps(measure(options.blocks, options.steps)))


if __name__ == "__main__":
    main()
