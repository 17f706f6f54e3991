"""Three ways to train the same U-Net, each in a process of its own.

A block gives its images, their seconds and those spent waiting.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import ndimage

from benchmarks.side import Block, serve
from benchmarks.training_task import (
    HYPERPARAMETERS,
    SECTIONS,
    build_tiles,
    build_volume,
    cores,
)
from trainer.hyperparameters import Hyperparameters


def build_session_block(
    steps: int, hyperparameters: Hyperparameters = HYPERPARAMETERS
) -> tuple[Block, str]:
    """The training session of this project, in the precision that the device is fast in."""
    from trainer.device import configure_device
    from trainer.session import TrainingPlan, TrainingSession
    from trainer.training_volume import TrainingVolume

    device = configure_device(cores())
    volume = build_volume()

    def block() -> dict[str, float]:
        metrics = session.advance()
        return {
            "images": session.steps_per_epoch * hyperparameters.batch_size,
            "seconds": metrics.training_seconds,
            "waited": metrics.waiting_seconds,
        }

    plan = TrainingPlan(
        epochs=1000,
        tiles_per_epoch=steps * hyperparameters.batch_size,
    )
    learned = TrainingVolume.measure(volume, SECTIONS, range(31, 32))
    session = TrainingSession(
        [learned], hyperparameters, plan, precision=device.precision, threads=cores()
    )
    return block, f"{device.name}, {device.precision}"


def build_stock_block(steps: int) -> tuple[Block, str]:
    """Keras in float32, with its own batch normalization, `fit`, and augmentation by scipy."""
    # TensorFlow as it comes, which is the faster one for these layers.
    os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)
    import keras

    from trainer.losses import build_loss
    from trainer.unet import build_unet

    keras.utils.set_random_seed(0)
    network = build_unet(HYPERPARAMETERS, stock=True)
    network.compile(
        keras.optimizers.Adam(1e-3),
        loss=build_loss(HYPERPARAMETERS),
        # TensorFlow is faster without XLA on a CPU; JAX is nothing without it.
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    volume = build_volume()
    dataset = _classic_dataset(
        volume.raw.astype(np.float32) / 255, volume.mask.astype(np.float32), steps
    )

    def block() -> dict[str, float]:
        started = time.perf_counter()
        network.fit(dataset, epochs=1, verbose=0)
        seconds = time.perf_counter() - started
        return {"images": steps * HYPERPARAMETERS.batch_size, "seconds": seconds, "waited": 0.0}

    return block, "float32, BatchNormalization"


def _classic_dataset(raw: np.ndarray, mask: np.ndarray, steps: int) -> Any:
    import keras

    size = HYPERPARAMETERS.batch_size

    class Dataset(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return steps

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            pairs = [classic_tile(raw, mask, index * size + tile) for tile in range(size)]
            images, masks = (np.stack(part)[..., np.newaxis] for part in zip(*pairs, strict=True))
            return images, masks

    # With threads, so that tiles are prepared beside the training here too.
    return Dataset(workers=max(2, cores()))


def classic_tile(raw: np.ndarray, mask: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut out, mirrored, turned and zoomed, image and mask one after the other."""
    random, size = np.random.default_rng(number), HYPERPARAMETERS.tile_size
    section = int(random.integers(len(SECTIONS)))
    y, x = random.integers(0, np.array(raw.shape[1:]) - size + 1)
    angle, zoom = random.uniform(-math.pi, math.pi), random.uniform(0.8, 1.2)
    cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag(random.choice([-1, 1], 2))
    middle = np.full(2, (size - 1) / 2)
    offset = middle - matrix @ middle

    def turned(of: np.ndarray, order: int) -> np.ndarray:
        tile = of[section, y : y + size, x : x + size]
        return ndimage.affine_transform(tile, matrix, offset, order=order, mode="nearest")

    return turned(raw, 1), turned(mask, 0)


def build_torch_block(steps: int) -> tuple[Block, str]:
    """PyTorch with channels last, in bfloat16 where the device has it, and the session's tiles."""
    from benchmarks.torch_unet import TorchTraining

    training = TorchTraining(HYPERPARAMETERS, cores())
    tiles, done = build_tiles(build_volume()), 0

    def block() -> dict[str, float]:
        nonlocal done
        started = asked = time.perf_counter()
        waited = 0.0
        for images, masks in tiles.batches(done, steps, threads=cores()):
            waited += time.perf_counter() - asked
            training.step(images, masks)
            asked = time.perf_counter()
        done += steps
        seconds = time.perf_counter() - started
        return {"images": steps * HYPERPARAMETERS.batch_size, "seconds": seconds, "waited": waited}

    return block, training.description


def build_matrix_block(products: int) -> tuple[Block, str]:
    """Products of large matrices in the session's precision: the rate that its device has."""
    from trainer.device import configure_device

    device = configure_device(cores())
    import keras

    from benchmarks.arithmetic import count_training_operations
    from trainer.unet import build_unet

    dtype = keras.DTypePolicy(device.precision).compute_dtype
    side = 8192 if device.kind == "gpu" else 2048
    # Scaled so that a product of many stays near 1.
    matrix = keras.random.normal((side, side), stddev=side**-0.5, seed=1, dtype=dtype)
    per_image = count_training_operations(
        build_unet(HYPERPARAMETERS), HYPERPARAMETERS.depth, HYPERPARAMETERS.tile_size
    )

    def block() -> dict[str, float]:
        started = time.perf_counter()
        product = matrix
        for _ in range(products):
            product = keras.ops.matmul(matrix, product)
        # A device works behind the program's back: this waits for it.
        float(keras.ops.convert_to_numpy(keras.ops.cast(product[0, 0], "float32")))
        seconds = time.perf_counter() - started
        operations = 2.0 * side**3 * products
        return {"operations": operations, "seconds": seconds, "per_image": per_image}

    return block, f"{side} x {side}, {dtype}"


SIDES: Mapping[str, Callable[[int], tuple[Block, str]]] = {
    "session": build_session_block,
    "stock_keras": build_stock_block,
    "torch": build_torch_block,
    "matrix": build_matrix_block,
}


def main() -> None:
    """Serves the side that the first argument names, with as many steps as the second says."""
    block, description = SIDES[sys.argv[1]](int(sys.argv[2]))
    serve(block, {"ready": description})


if __name__ == "__main__":
    main()
