from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest

from tests.trainer.steps_beside_keras import batch, open_session
from trainer import session as module
from trainer.batch_statistics import BatchStatistics
from trainer.errors import Diverged
from trainer.hyperparameters import Hyperparameters
from trainer.session import TrainingSession
from trainer.unet import build_unet

pytestmark = pytest.mark.usefixtures("device")


def build(**values: Any) -> keras.Model:
    """A U-Net of two levels, its weights the same for every call."""
    keras.utils.set_random_seed(3)
    return build_unet(Hyperparameters(**{"depth": 1, "filters": 2, "tile_size": 32, **values}))


def layers(network: keras.Model) -> list[Any]:
    return [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]


def output(network: keras.Model, images: np.ndarray, *, training: bool) -> np.ndarray:
    return np.asarray(network(images, training=training))


@pytest.mark.parametrize("values", [{}, {"activation": "elu", "block": "residual"}, {"depth": 2}])
def test_of_one_batch_predictions_are_what_training_sees(values: dict[str, Any]) -> None:
    network, (images, _) = build(**values), batch(0)
    # Running a batch as in training moves what predictions are made with.
    seen = output(network, images, training=True)
    assert np.abs(output(network, images, training=False) - seen).max() > 0.1
    BatchStatistics(network).measure([images])
    np.testing.assert_allclose(output(network, images, training=False), seen, atol=1e-4)


def test_of_several_batches_they_are_those_of_all_voxels_together() -> None:
    inputs = keras.Input((None, None, 3))
    network = keras.Model(inputs, keras.layers.BatchNormalization(momentum=0.9)(inputs))
    random = np.random.default_rng(0)
    batches = [
        random.normal(at, 1 + at, (2, 8, 6, 3)).astype(np.float32) * [1, 2, 5] for at in range(3)
    ]
    BatchStatistics(network).measure(batches)
    voxels = np.concatenate(batches).reshape(-1, 3)
    [layer] = layers(network)
    np.testing.assert_allclose(np.asarray(layer.moving_mean), voxels.mean(0), rtol=1e-4)
    np.testing.assert_allclose(np.asarray(layer.moving_variance), voxels.var(0), rtol=1e-4)


def test_dropout_has_no_part_in_it() -> None:
    one, other = build(), build(dropout=0.5)
    other.set_weights(one.get_weights())
    born = [np.asarray(layer.moving_mean) for layer in layers(one)]
    states = [np.asarray(x) for x in other.non_trainable_variables if "seed" in x.path]
    assert states
    for network in (one, other):
        BatchStatistics(network).measure([batch(0)[0], batch(1)[0]])
    for mine, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert not np.allclose(born[0], np.asarray(layers(one)[0].moving_mean))
    after = [np.asarray(x) for x in other.non_trainable_variables if "seed" in x.path]
    np.testing.assert_array_equal(states, after)
    assert {x.rate for x in other.layers if isinstance(x, keras.layers.Dropout)} == {0.5}


def test_weights_stay_and_layers_move_again_afterwards() -> None:
    network = build()
    before = [np.asarray(x).copy() for x in network.trainable_variables]
    statistics = BatchStatistics(network)
    statistics.measure([batch(0)[0]])
    for mine, old in zip(network.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(mine, old)
    measured, moments = np.asarray(layers(network)[0].moving_mean), []
    for each in (0.0, 0.9):
        layers(network)[0].moving_mean.assign(measured)
        layers(network)[0].momentum = each
        output(network, batch(1)[0], training=True)
        moments.append(np.asarray(layers(network)[0].moving_mean))
    np.testing.assert_allclose(moments[1], 0.9 * measured + 0.1 * moments[0], atol=1e-5)
    with pytest.raises(Exception, match="shape"):
        statistics.measure([np.zeros((1, 8, 8, 2), np.float32)])
    assert {layer.momentum for layer in layers(network)} == {0.9}


def test_what_was_no_number_is_forgotten() -> None:
    network, (images, _) = build(), batch(0)
    for layer in layers(network):
        layer.moving_mean.assign(np.full(layer.moving_mean.shape, np.nan))
        layer.moving_variance.assign(np.full(layer.moving_mean.shape, np.inf))
    BatchStatistics(network).measure([images])
    assert np.isfinite(output(network, images, training=False)).all()


def test_what_are_no_numbers_now_is_divergence() -> None:
    network, (images, _) = build(), batch(0)
    kernel = next(x for x in network.trainable_variables if x.path.endswith("kernel"))
    for value in (np.nan, 1e38):
        kernel.assign(np.full(kernel.shape, value))
        with pytest.raises(Diverged, match="no longer numbers"):
            BatchStatistics(network).measure([images * 100, images])


def test_a_frozen_layer_keeps_what_it_has() -> None:
    network = build()
    for layer in layers(network):
        layer.trainable = False
    before = network.get_weights()
    BatchStatistics(network).measure([batch(0)[0]])
    for mine, old in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, old)


@pytest.mark.parametrize("normalization", ["layer", "none"])
def test_without_batch_normalization_nothing_is_measured(normalization: str) -> None:
    network = build(normalization=normalization)
    before = network.get_weights()
    BatchStatistics(network).measure([batch(0)[0]])
    for mine, old in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, old)


def spy(session: TrainingSession, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Fills with what the session measures."""
    seen: list[np.ndarray] = []
    measure = session._statistics.measure

    def look(batches: Sequence[np.ndarray]) -> None:
        seen[:] = batches
        measure(batches)

    monkeypatch.setattr(session._statistics, "measure", look)
    return seen


def test_an_epoch_is_measured_by_its_last_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEASURED_TILES", 0.2)
    session = open_session()
    seen = spy(session, monkeypatch)
    session.advance()
    # A fifth of 65,536 voxels, in batches of 4,096.
    assert session.steps_per_epoch == 16
    assert len(seen) == 4
    for number, images in enumerate(seen, 12):
        np.testing.assert_array_equal(images, session._tiles.batch(number)[0])


@pytest.mark.parametrize("ema_momentum", [0.0, 0.9])
def test_a_session_predicts_with_what_its_last_tiles_have(
    ema_momentum: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One step an epoch: all that is measured is one batch.
    session = open_session(batch_size=64, ema_momentum=ema_momentum)
    seen = spy(session, monkeypatch)
    session.advance()
    [images] = seen
    judged = session._average.network if session._average else session._network
    predicted = output(judged, images, training=False)
    layer, kept = layers(judged)[0], session.state()
    path = f"{'average' if ema_momentum else 'model'}/{layer.moving_mean.path}"
    np.testing.assert_array_equal(kept[path], layer.moving_mean)
    for each in judged.layers:
        if isinstance(each, keras.layers.Dropout):
            each.rate = 0.0
    np.testing.assert_allclose(output(judged, images, training=True), predicted, atol=1e-3)
