"""The optimizer and its learning-rate schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops
from keras.optimizers import schedules

from trainer.fused_adam import FusedAdam
from trainer.hyperparameters import Hyperparameters

_EXPONENTIAL_END = 0.01
_FALLS: Mapping[str, Callable[[float, int], Any]] = {
    "constant": lambda rate, steps: schedules.PolynomialDecay(rate, steps, end_learning_rate=rate),
    "cosine": lambda rate, steps: schedules.CosineDecay(rate, steps),
    "linear": lambda rate, steps: schedules.PolynomialDecay(rate, steps, end_learning_rate=0.0),
    "exponential": lambda rate, steps: schedules.ExponentialDecay(rate, steps, _EXPONENTIAL_END),
}


class WarmUp(schedules.LearningRateSchedule):  # type: ignore[misc]
    """A straight rise to the learning rate, and another schedule behind it."""

    def __init__(self, rate: float, steps: int, then: Callable[[Any], Any]) -> None:
        """Puts the rise before a schedule.

        Args:
            rate: The learning rate after so many steps.
            steps: Of the rise.
            then: The schedule behind it, which begins with its own step 0.
        """
        super().__init__()
        self._rate, self._steps, self._then = rate, steps, then

    def __call__(self, step: Any) -> Any:
        """The learning rate of a step, of which the first is 0."""
        step = ops.cast(step, "float32")
        rising = self._rate * (step + 1.0) / self._steps
        return ops.where(
            step < self._steps, rising, self._then(ops.maximum(step - self._steps, 0.0))
        )


def build_optimizer(
    hyperparameters: Hyperparameters, steps: int, *, precision: str = "float32"
) -> keras.optimizers.Optimizer:
    """The optimizer with its learning rate, or its schedule over a run of so many steps.

    Gradients in float16 vanish below 6e-8: there the loss is scaled, and a step whose gradients
    overflow is skipped (Micikevicius et al. 2018, arXiv 1710.03740).

    Args:
        hyperparameters: Of the run.
        steps: Of the whole run.
        precision: The Keras dtype policy that the network computes in.
    """
    optimizer = _build_inner(hyperparameters, _build_schedule(hyperparameters, steps))
    if precision != "mixed_float16":
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale")


def _build_inner(hyperparameters: Hyperparameters, rate: Any) -> keras.optimizers.Optimizer:
    hp = hyperparameters
    # By default Keras numbers the names, and with them those of a checkpoint's arrays.
    name = hp.optimizer
    if name == "sgd":
        return keras.optimizers.SGD(rate, momentum=hp.momentum, nesterov=hp.momentum > 0, name=name)
    adam = {"beta_1": hp.beta_1, "beta_2": hp.beta_2, "epsilon": hp.epsilon, "name": name}
    fused = keras.backend.backend() == "tensorflow"
    if name == "adamw":
        kind = FusedAdam if fused else keras.optimizers.AdamW
        return kind(rate, weight_decay=hp.weight_decay, **adam)
    return (FusedAdam if fused else keras.optimizers.Adam)(rate, **adam)


def _build_schedule(hyperparameters: Hyperparameters, steps: int) -> Any:
    hp = hyperparameters
    rising = round(hp.warmup * steps)
    fall = _FALLS[hp.schedule](hp.learning_rate, max(1, steps - rising))
    return WarmUp(hp.learning_rate, rising, fall) if rising else fall
