"""Training steps beside those of Keras's own `train_on_batch`, from the same seed.

As a program it prints what came of them, on the framework that KERAS_BACKEND names, as JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from trainer.batch_statistics import BatchStatistics
from trainer.errors import Diverged
from trainer.hyperparameters import Hyperparameters
from trainer.losses import build_loss
from trainer.optimizer import build_optimizer
from trainer.phantom import build_phantom
from trainer.session import TrainingPlan, TrainingSession
from trainer.training_step import build_training_step
from trainer.training_volume import TrainingVolume
from trainer.unet import build_unet

STEPS = 3
RUN = Hyperparameters(depth=1, filters=2, tile_size=32, batch_size=4, dropout=0.2)


def take_steps(precision: str, *, ours: bool) -> dict[str, np.ndarray]:
    """The losses of a few steps, and everything that has changed after them."""
    keras.utils.set_random_seed(0)
    network = build_unet(RUN, precision=precision)
    optimizer, loss = build_optimizer(RUN, 10, precision=precision), build_loss(RUN)
    optimizer.build(network.trainable_variables)
    found: dict[str, np.ndarray] = {}
    if ours:
        step = build_training_step(network, optimizer, loss)
        results = [step.make(*batch(number)) for number in range(STEPS)]
        step.settle()
        found["losses"] = np.array([float(result.loss) for result in results])
    else:
        network.compile(optimizer=optimizer, loss=loss)
        losses = [network.train_on_batch(*batch(number)) for number in range(STEPS)]
        found["losses"] = np.array(losses, float).reshape(STEPS)
    variables = [*network.variables, *optimizer.variables]
    return found | {f"{at} {each.path}": np.asarray(each) for at, each in enumerate(variables)}


def batch(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and masks of a step."""
    random, shape = np.random.default_rng(number), (RUN.batch_size, 32, 32, 1)
    return random.random(shape, np.float32), (random.random(shape) < 0.3).astype(np.float32)


def largest_difference(precision: str) -> float:
    """Of any number of ours from Keras's, as a share of that number where it is above 1."""
    ours, theirs = take_steps(precision, ours=True), take_steps(precision, ours=False)
    # Keras numbers the paths of random states through the whole process.
    pairs = zip(ours.values(), theirs.values(), strict=True)
    return max(float(np.max(np.abs(a - b) / np.maximum(1, np.abs(b)))) for a, b in pairs if a.size)


def open_session(precision: str = "float32", **values: Any) -> TrainingSession:
    """A session of two epochs on a small phantom."""
    volume = TrainingVolume.measure(build_phantom(16, 64, 64, seed=1), range(8), range(12, 16))
    run = Hyperparameters(**{**RUN.to_mapping(), **values})
    return TrainingSession(
        [volume], run, TrainingPlan(epochs=2, tiles_per_epoch=1), precision=precision
    )


def resume(**values: Any) -> dict[str, Any]:
    """A run, and another that goes on from its first epoch."""
    session, other = open_session(**values), open_session(**values)
    first = session.advance()
    other.restore(session.state())
    second, again = session.advance(), other.advance()
    before, after = session.state(), other.state()
    return {
        "losses": [first.loss, second.loss],
        "same_loss": second.loss == again.loss,
        "same_state": all(np.array_equal(before[name], after[name]) for name in before),
    }


def overflow() -> dict[str, Any]:
    """Steps whose gradients overflow in float16, and then a loss that is no number."""
    session, scale = open_session("mixed_float16"), "optimizer/loss_scale/dynamic_scale"
    before = session.state()
    session.restore({**before, scale: np.float32(2.0**60)})
    session.advance()
    after = session.state()
    name = next(each for each in before if each.endswith("kernel"))
    session.restore({**before, name: np.full_like(before[name], np.nan)})
    try:
        session.advance()
        diverged = False
    except Diverged:
        diverged = True
    return {
        "scale": float(after[scale]),
        "steps_taken": int(after["optimizer/adam/iteration"]),
        "diverged": diverged,
        "readable": session.state().keys() == before.keys(),
    }


def measure() -> float:
    """How far predictions of one batch, once measured, are from what training sees."""
    network = build_unet(replace(RUN, dropout=0.0))
    images, _ = batch(0)
    BatchStatistics(network).measure([images])
    predicted, seen = (
        keras.ops.convert_to_numpy(network(images, training=training)) for training in (False, True)
    )
    return float(np.abs(predicted - seen).max())


def main() -> None:
    """Prints one JSON object."""
    from trainer.device import configure_device

    configure_device(1)
    found = {
        "backend": keras.backend.backend(),
        "difference": {kind: largest_difference(kind) for kind in sys.argv[1:]},
        "resumed": resume(ema_momentum=0.9),
        "overflow": overflow(),
        "measured_apart": measure(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
