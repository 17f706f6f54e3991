from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from trainer.hyperparameters import Hyperparameters
from trainer.optimizer import build_optimizer

pytestmark = pytest.mark.usefixtures("device")


def build(steps: int = 100, **values: Any) -> keras.optimizers.Optimizer:
    return build_optimizer(Hyperparameters(**values), steps)


def rate(optimizer: keras.optimizers.Optimizer, step: int) -> float:
    optimizer.build([keras.Variable(np.zeros(1, np.float32))])
    optimizer.iterations.assign(step)
    return float(optimizer.learning_rate)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_cosine_falls_from_the_learning_rate_to_nothing_over_the_run(name: str) -> None:
    rates = [rate(build(optimizer=name, learning_rate=0.2), step) for step in (0, 50, 100)]
    assert rates == pytest.approx([0.2, 0.1, 0.0], abs=1e-6)


def test_constant_stays() -> None:
    optimizer = build(schedule="constant", learning_rate=0.2)
    assert rate(optimizer, 100) == pytest.approx(0.2)


def test_adam_takes_its_terms() -> None:
    adam = build(optimizer="adam", beta_1=0.8, beta_2=0.95, epsilon=1e-3)
    assert type(adam) is keras.optimizers.Adam
    assert (adam.beta_1, adam.beta_2, adam.epsilon, adam.weight_decay) == (0.8, 0.95, 1e-3, None)


def test_adamw_decays_weights() -> None:
    adamw = build(optimizer="adamw", weight_decay=0.02, epsilon=1e-3)
    assert type(adamw) is keras.optimizers.AdamW
    assert (adamw.weight_decay, adamw.epsilon) == (0.02, 1e-3)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_looks_ahead_where_it_has_momentum(momentum: float) -> None:
    sgd = build(optimizer="sgd", momentum=momentum)
    assert type(sgd) is keras.optimizers.SGD
    assert (sgd.momentum, sgd.nesterov) == (momentum, momentum > 0)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("linear", [0.2, 0.15, 0.1, 0.0]),
        ("exponential", [0.2, 0.2 * 0.01**0.25, 0.02, 0.002]),
        ("cosine", [0.2, 0.1 * (1 + 0.5**0.5), 0.1, 0.0]),
    ],
)
def test_each_schedule_falls_as_worked_by_hand(shape: str, expected: list[float]) -> None:
    rates = [rate(build(schedule=shape, learning_rate=0.2), step) for step in (0, 25, 50, 100)]
    assert rates == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shape", ["constant", "linear", "cosine"])
def test_the_rate_rises_first_where_there_is_a_warmup(shape: str) -> None:
    warm = build(schedule=shape, warmup=0.2, learning_rate=0.2)
    rates = [rate(warm, step) for step in (0, 9, 19, 20)]
    assert rates == pytest.approx([0.01, 0.1, 0.2, 0.2], abs=1e-6)
    end = {"constant": 0.2, "linear": 0.1, "cosine": 0.1}[shape]
    assert rate(warm, 60) == pytest.approx(end, abs=1e-6)
