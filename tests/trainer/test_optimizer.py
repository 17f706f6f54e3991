from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from trainer.fused_adam import FusedAdam
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
    assert isinstance(adam, keras.optimizers.Adam)
    assert (adam.beta_1, adam.beta_2, adam.epsilon, adam.weight_decay) == (0.8, 0.95, 1e-3, None)


def test_adamw_decays_weights() -> None:
    adamw = build(optimizer="adamw", weight_decay=0.02, epsilon=1e-3)
    assert isinstance(adamw, keras.optimizers.Adam)
    assert (adamw.weight_decay, adamw.epsilon) == (0.02, 1e-3)


@pytest.mark.parametrize("weight_decay", [None, 0.1])
@pytest.mark.parametrize("epsilon", [1e-7, 1e-1])
def test_one_operation_does_what_keras_does_in_a_dozen(
    weight_decay: float | None, epsilon: float
) -> None:
    random = np.random.default_rng(7)
    starts = [random.normal(size=shape).astype(np.float32) for shape in [(3, 3, 2, 4), (4,)]]
    gradients = [[random.normal(size=each.shape) for each in starts] for _ in range(6)]
    settings = {"beta_1": 0.8, "beta_2": 0.95, "epsilon": epsilon, "weight_decay": weight_decay}

    def train(kind: type[keras.optimizers.Adam]) -> dict[str, np.ndarray]:
        rate = keras.optimizers.schedules.CosineDecay(0.1, 6)
        optimizer = kind(rate, name="adam", **settings)
        weights = [keras.Variable(start, name=f"w{i}") for i, start in enumerate(starts)]
        optimizer.build(weights)
        for step in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(each, "float32") for each in step])
        return {each.path: np.asarray(each) for each in [*optimizer.variables, *weights]}

    ours, stock = train(FusedAdam), train(keras.optimizers.Adam)
    assert ours.keys() == stock.keys()
    for name, values in ours.items():
        assert values == pytest.approx(stock[name], rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_on_tensorflow_adam_is_the_fused_one(name: str) -> None:
    assert type(build(optimizer=name)) is FusedAdam


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
