"""Images trained per second in each way that TensorFlow can run the same network.

`python -m benchmarks.execution_modes` prints one JSON object. Precision, compilation by XLA and
the normalization (one operation, or Keras's own layer) are tried with each other, and each
precision without oneDNN's convolutions, on the network and the tiles of the training benchmark,
each combination in a process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.training_task import HYPERPARAMETERS, build_tiles, build_volume, cores

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
NORMALIZATIONS = ("fused", "stock")
_WARM_STEPS = 2


@dataclass(frozen=True)
class Mode:
    """One way to run the network.

    Attributes:
        precision: The Keras dtype policy.
        jit: Whether XLA compiles the step.
        normalization: `fused`, or `stock` for Keras's own layer.
        onednn: Whether a CPU takes oneDNN's convolutions, or TensorFlow's own.
    """

    precision: str
    jit: bool
    normalization: str
    onednn: bool = True


def modes(precisions: Sequence[str]) -> list[Mode]:
    """Every combination, the plainest first."""
    combined = itertools.product(precisions, (False, True), NORMALIZATIONS)
    apart = [Mode(precision, False, "fused", onednn=False) for precision in precisions]
    return [*(Mode(*each) for each in combined), *apart]


def measure(mode: Mode, steps: int) -> dict[str, Any]:
    """Trains on tiles that are ready, so that the device alone is timed.

    Args:
        mode: How.
        steps: That are timed, after the first ones, which trace and compile.

    Returns:
        `images_per_second`, and the seconds of the `first_step`.
    """
    from trainer.device import configure_device
    from trainer.losses import build_loss
    from trainer.optimizer import build_optimizer
    from trainer.training_step import build_training_step
    from trainer.unet import build_unet

    device = configure_device(cores())
    network = build_unet(
        HYPERPARAMETERS, precision=mode.precision, stock=mode.normalization == "stock"
    )
    optimizer = build_optimizer(HYPERPARAMETERS, 1000, precision=mode.precision)
    optimizer.build(network.trainable_variables)
    training = build_training_step(network, optimizer, build_loss(HYPERPARAMETERS), jit=mode.jit)
    tiles = list(build_tiles(build_volume()).batches(0, _WARM_STEPS, threads=cores()))
    times = []
    for step in range(_WARM_STEPS + steps):
        started = time.perf_counter()
        # The loss is fetched, so that the step is done when the clock is read.
        float(training.make(*tiles[step % len(tiles)]).loss)
        times.append(time.perf_counter() - started)
    images = steps * HYPERPARAMETERS.batch_size
    return {
        "device": device.name,
        "images_per_second": round(images / sum(times[_WARM_STEPS:]), 2),
        "first_step_seconds": round(times[0], 1),
    }


def measure_apart(mode: Mode, steps: int, timeout_seconds: float) -> dict[str, Any]:
    """The same in a process of its own; what went wrong, where nothing came of it."""
    command = [sys.executable, "-m", "benchmarks.execution_modes", "--steps", str(steps)]
    command += ["--one", json.dumps(vars(mode))]
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": str(int(mode.onednn))}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_seconds,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no result within {timeout_seconds:g} seconds"}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["nothing was said"])[-1]}
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def summarize(
    measured: Sequence[tuple[Mode, Mapping[str, Any]]], machine: Mapping[str, Any]
) -> dict[str, Any]:
    """One row for each mode, and the one that was fastest."""
    rows = [{**vars(mode), **result} for mode, result in measured]
    timed = [row for row in rows if "images_per_second" in row]
    fastest = max(timed, key=lambda row: row["images_per_second"], default=None)
    return {"machine": machine, "modes": rows, "fastest": fastest}


def main() -> None:
    """Measures all modes, or one of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--timeout-seconds", type=float, default=600.0, help="of one mode")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(Mode(**options.one), options.steps)))
        return
    measured = [
        (mode, measure_apart(mode, options.steps, options.timeout_seconds))
        for mode in modes(options.precisions)
    ]
    print(json.dumps(summarize(measured, describe_machine())))


if __name__ == "__main__":
    main()
