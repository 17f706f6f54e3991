"""The optimizer and its learning-rate schedule."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from trainer.hyperparameters import Hyperparameters

_EXPONENTIAL_END = 0.01


class Schedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """The learning rate over a run: it rises in a straight line, then falls as its name says."""

    def __init__(self, shape: str, rate: float, steps: int, warmup: float = 0.0) -> None:
        """Fixes the run.

        Args:
            shape: `constant`, `cosine` (Loshchilov and Hutter 2017, arXiv 1608.03983, without
                restarts), `linear` or `exponential`.
            rate: The highest learning rate.
            steps: Of the whole run.
            warmup: Share of them in which the rate rises.
        """
        super().__init__()
        self._shape, self._rate, self._steps, self._warmup = shape, rate, steps, warmup

    def __call__(self, step: Any) -> Any:
        """The learning rate of a step, of which the first is 0."""
        step = ops.cast(step, "float32")
        rising = round(self._warmup * self._steps)
        progress = ops.clip((step - rising) / max(1, self._steps - rising), 0.0, 1.0)
        rate = self._rate * self._fallen(progress)
        if not rising:
            return rate
        return ops.where(step < rising, self._rate * (step + 1.0) / rising, rate)

    def get_config(self) -> dict[str, Any]:
        """What makes the same schedule again."""
        names = ("shape", "rate", "steps", "warmup")
        return {name: getattr(self, f"_{name}") for name in names}

    def _fallen(self, progress: Any) -> Any:
        if self._shape == "cosine":
            return 0.5 * (1.0 + ops.cos(math.pi * progress))
        if self._shape == "linear":
            return 1.0 - progress
        if self._shape == "exponential":
            return ops.exp(math.log(_EXPONENTIAL_END) * progress)
        return ops.ones_like(progress)


def build_optimizer(hyperparameters: Hyperparameters, steps: int) -> keras.optimizers.Optimizer:
    """The optimizer with its learning rate, or its schedule over a run of so many steps."""
    hp = hyperparameters
    rate: Any = hp.learning_rate
    if hp.schedule != "constant" or hp.warmup > 0:
        rate = Schedule(hp.schedule, hp.learning_rate, steps, hp.warmup)
    # By default Keras numbers the names, and with them those of a checkpoint's arrays.
    name = hp.optimizer
    if name == "sgd":
        return keras.optimizers.SGD(rate, momentum=hp.momentum, nesterov=hp.momentum > 0, name=name)
    adam = {"beta_1": hp.beta_1, "beta_2": hp.beta_2, "epsilon": hp.epsilon, "name": name}
    if name == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=hp.weight_decay, **adam)
    return keras.optimizers.Adam(rate, **adam)
