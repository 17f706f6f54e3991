"""A step of training, as each of Keras's frameworks makes it without waiting for the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from trainer.losses import Loss
from trainer.training_counts import count_voxels


@dataclass(frozen=True)
class StepResult:
    """What a step has brought, on the device: to read it is to wait for the step.

    Attributes:
        loss: A scalar.
        counts: (3,), as `count_voxels` counts.
    """

    loss: Any
    counts: Any


class TrainingStep(Protocol):
    """Changes the weights of one network, step by step."""

    def make(self, images: np.ndarray, masks: np.ndarray) -> StepResult:
        """Makes one step, or has the device make it."""

    def settle(self) -> None:
        """Leaves network and optimizer as the last step left them; nothing else reads them before.

        After it they may be changed from outside.
        """


def build_training_step(
    network: keras.Model, optimizer: keras.optimizers.Optimizer, loss: Loss, *, jit: bool = False
) -> TrainingStep:
    """Builds what trains a network, in the framework that Keras runs on.

    Keras's own `train_on_batch` waits for the device after each step, and with JAX hands all
    weights over twice.

    Args:
        network: Gives logits.
        optimizer: That is built for the network's weights.
        loss: From masks and logits to a scalar.
        jit: With TensorFlow, whether XLA compiles the step; JAX always does, PyTorch never. On a
            CPU it compiles for half a minute and then runs slower; on a GPU
            `benchmarks/execution_modes.py` measures both.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _TensorFlowStep(network, optimizer, loss, jit)
    kinds: Mapping[str, Callable[..., TrainingStep]] = {"jax": _JaxStep, "torch": _TorchStep}
    return kinds[backend](network, optimizer, loss)


class _TensorFlowStep:
    def __init__(self, network: Any, optimizer: Any, loss: Loss, jit: bool) -> None:
        import tensorflow as tf

        def step(images: Any, masks: Any) -> tuple[Any, Any]:
            with tf.GradientTape() as tape:
                logits = network(images, training=True)
                value = loss(masks, logits)
                scaled = optimizer.scale_loss(value)
            weights = network.trainable_weights
            optimizer.apply(tape.gradient(scaled, weights), weights)
            return value, count_voxels(masks, logits)

        self._step = tf.function(step, autograph=False, jit_compile=jit)
        self._tensor = tf.convert_to_tensor

    def make(self, images: np.ndarray, masks: np.ndarray) -> StepResult:
        return StepResult(*self._step(self._tensor(images), self._tensor(masks)))

    def settle(self) -> None:
        """TensorFlow changes the weights in their place."""


class _JaxStep:
    """Weights, and what else changes, go from step to step as arrays, each in its old place."""

    def __init__(self, network: Any, optimizer: Any, loss: Loss) -> None:
        import jax

        def compute(
            weights: Any, others: Any, moments: Any, images: Any, masks: Any
        ) -> tuple[Any, tuple[Any, Any, Any]]:
            logits, others = network.stateless_call(weights, others, images, training=True)
            value = loss(masks, logits)
            known = zip(optimizer.variables, moments, strict=True)
            with keras.StatelessScope(state_mapping=list(known)):
                # The scale is one of the optimizer's variables.
                scaled = optimizer.scale_loss(value)
            return scaled, (value, count_voxels(masks, logits), others)

        differentiate = jax.value_and_grad(compute, has_aux=True)

        def step(state: Any, images: Any, masks: Any) -> tuple[Any, Any, Any]:
            weights, others, moments = state
            (_, (value, counts, others)), gradients = differentiate(*state, images, masks)
            weights, moments = optimizer.stateless_apply(moments, gradients, weights)
            return (weights, others, moments), value, counts

        self._step = jax.jit(step, donate_argnums=0)
        self._variables = (
            network.trainable_variables,
            network.non_trainable_variables,
            optimizer.variables,
        )
        self._state: Any = None

    def make(self, images: np.ndarray, masks: np.ndarray) -> StepResult:
        # Of a step that fails nothing is left: what went into it has been given up.
        state, self._state = self._state or self._read(), None
        self._state, loss, counts = self._step(state, images, masks)
        return StepResult(loss, counts)

    def settle(self) -> None:
        if self._state is None:
            return
        for variables, arrays in zip(self._variables, self._state, strict=True):
            for variable, array in zip(variables, arrays, strict=True):
                variable.assign(array)
        self._state = None

    def _read(self) -> tuple[list[Any], ...]:
        return tuple([variable.value for variable in group] for group in self._variables)


class _TorchStep:
    """Dropout draws from PyTorch's own random state here, which no state of a session holds."""

    def __init__(self, network: Any, optimizer: Any, loss: Loss) -> None:
        self._network, self._optimizer, self._loss = network, optimizer, loss

    def make(self, images: np.ndarray, masks: np.ndarray) -> StepResult:
        import torch

        truth, weights = ops.convert_to_tensor(masks), self._network.trainable_weights
        logits = self._network(images, training=True)
        value = self._loss(truth, logits)
        self._network.zero_grad()
        self._optimizer.scale_loss(value).backward()
        with torch.no_grad():
            self._optimizer.apply([weight.value.grad for weight in weights], weights)
            return StepResult(value.detach(), count_voxels(truth, logits))

    def settle(self) -> None:
        """PyTorch changes the weights in their place."""
