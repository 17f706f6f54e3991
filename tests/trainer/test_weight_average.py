from __future__ import annotations

import keras
import numpy as np
import pytest

from trainer.hyperparameters import Hyperparameters
from trainer.metrics import PooledHistogram
from trainer.model import build_model
from trainer.session import TrainingPlan, TrainingSession
from trainer.training_volume import TrainingVolume
from trainer.volume import Volume
from trainer.weight_average import WeightAverage, best_weight

pytestmark = pytest.mark.usefixtures("device")

SMALL = {"depth": 1, "filters": 2, "tile_size": 32, "batch_size": 4}


def network(value: float) -> keras.Model:
    inputs = keras.Input((2,))
    outputs = keras.layers.Dense(1, use_bias=False, name="dense")(inputs)
    built = keras.Model(inputs, outputs)
    built.set_weights([np.full((2, 1), value)])
    return built


def means(average: WeightAverage) -> float:
    (kernel,) = average.network.get_weights()
    assert kernel[0] == kernel[1]
    return float(kernel[0, 0])


def open_session(volume: Volume, **values: float) -> TrainingSession:
    learned = TrainingVolume.measure(volume, range(12), range(20, 24))
    run = Hyperparameters(**{**SMALL, **values})
    return TrainingSession([learned], run, TrainingPlan(3, 1, seed=2))


def test_a_mean_moves_by_its_share_of_the_way_to_the_weights() -> None:
    trained = network(1.0)
    average = WeightAverage(trained, network(7.0), 0.75)
    assert means(average) == 1.0
    for steps, expected in ((100, 0.75 * 1 + 0.25 * 5), (101, 0.75 * 2 + 0.25 * 5)):
        trained.set_weights([np.full((2, 1), 5.0)])
        average.update(steps)
        assert means(average) == pytest.approx(expected)
    (kernel,) = trained.get_weights()
    assert kernel[0, 0] == 5.0


def test_the_first_steps_forget_what_was_random() -> None:
    trained = network(1.0)
    average = WeightAverage(trained, network(1.0), 0.999)
    trained.set_weights([np.full((2, 1), 2.0)])
    average.update(0)
    assert means(average) == pytest.approx(0.1 * 1 + 0.9 * 2)
    average.update(8)
    assert means(average) == pytest.approx(0.5 * 1.9 + 0.5 * 2)


def test_a_run_is_judged_and_exported_by_its_means(phantom: Volume) -> None:
    session = open_session(phantom, ema_momentum=0.99, learning_rate=0.03)
    session.advance()
    scores = session.advance().scores
    state = session.state()
    session.close()
    name = "logits/kernel"
    assert np.array_equal(best_weight(state, name), state[f"average/{name}"])
    assert not np.array_equal(state[f"average/{name}"], state[f"model/{name}"])
    model = build_model(session.hyperparameters, state, threshold=0.5, card={})
    learned = TrainingVolume.measure(phantom, range(12), range(20, 24))
    predicted = model.predict(phantom.raw[20:24], learned.intensity)
    histogram = PooledHistogram()
    for probability, mask in zip(predicted, phantom.mask[20:24], strict=True):
        histogram.add(probability, mask)
    assert histogram.scores(scores.threshold).dice == pytest.approx(scores.dice, abs=1e-3)


def test_without_it_nothing_is_kept_and_the_weights_themselves_are_exported(
    phantom: Volume,
) -> None:
    session = open_session(phantom)
    state = session.state()
    session.close()
    assert not [name for name in state if name.startswith("average/")]
    assert np.array_equal(best_weight(state, "logits/kernel"), state["model/logits/kernel"])


def test_the_weights_of_an_earlier_model_are_the_means_to_begin_with(phantom: Volume) -> None:
    earlier, session = open_session(phantom), open_session(phantom, ema_momentum=0.9)
    weights = {
        name.removeprefix("model/"): array + 1
        for name, array in earlier.state().items()
        if name.startswith("model/")
    }
    session.begin_with(weights)
    state = session.state()
    assert np.array_equal(state["average/logits/kernel"], weights["logits/kernel"])
    earlier.close()
    session.close()
