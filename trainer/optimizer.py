"""The optimizer and its learning-rate schedule."""

from __future__ import annotations

from typing import Any

import keras

from trainer.hyperparameters import Hyperparameters


def build_optimizer(hyperparameters: Hyperparameters, steps: int) -> keras.optimizers.Optimizer:
    """The optimizer with its learning rate, or its schedule over a run of so many steps."""
    hp = hyperparameters
    rate: Any = hp.learning_rate
    if hp.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(hp.learning_rate, decay_steps=steps)
    # By default Keras numbers the names, and with them those of a checkpoint's arrays.
    name = hp.optimizer
    if name == "sgd":
        return keras.optimizers.SGD(rate, momentum=hp.momentum, nesterov=hp.momentum > 0, name=name)
    adam = {"beta_1": hp.beta_1, "beta_2": hp.beta_2, "epsilon": hp.epsilon, "name": name}
    if name == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=hp.weight_decay, **adam)
    return keras.optimizers.Adam(rate, **adam)
