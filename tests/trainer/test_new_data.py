"""Several volumes in one run, and a run that goes on from the weights of another one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from trainer.earlier_model import EarlierModel
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.metrics import PooledHistogram
from trainer.model import build_model, save_model
from trainer.phantom import build_phantom
from trainer.rescale import rescale_volume
from trainer.session import TrainingPlan, TrainingSession
from trainer.training_volume import TrainingVolume
from trainer.volume import Volume

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("device"),
    # Keras's own, where it writes a network.
    pytest.mark.filterwarnings(
        "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning:keras.src.backend"
    ),
]

RUN = Hyperparameters(depth=3, filters=8, tile_size=64, batch_size=8, learning_rate=0.01)


def other_microscope(seed: int) -> Volume:
    """Other tissue, with another contrast, blur and scale."""
    coarse = rescale_volume(build_phantom(30, 128, 128, seed), (8.0, 9.0, 9.0))
    raw = [
        cv2.GaussianBlur(((section / 255) ** 1.5 * 150 + 40).astype(np.uint8), (0, 0), 0.7)
        for section in coarse.raw
    ]
    return Volume(np.stack(raw), coarse.mask, (8.0, 9.0, 9.0))


@pytest.fixture(scope="module")
def old() -> TrainingVolume:
    return TrainingVolume.measure(build_phantom(32, 128, 128, 1), range(24), range(30, 32), "old")


@pytest.fixture(scope="module")
def new() -> TrainingVolume:
    return TrainingVolume.measure(other_microscope(8), range(16), range(24, 30, 2), "new")


def open_session(
    *volumes: TrainingVolume, epochs: int = 2, tiles: int = 1, seed: int = 1, run: object = RUN
) -> TrainingSession:
    assert isinstance(run, Hyperparameters)
    return TrainingSession(volumes, run, TrainingPlan(epochs, tiles, seed=seed))


@pytest.fixture(scope="module")
def model(old: TrainingVolume, tmp_path_factory: pytest.TempPathFactory) -> EarlierModel:
    """What a run on the old volume ended with."""
    session = open_session(old, tiles=20)
    scores = [session.advance().scores for _ in range(2)][-1]
    folder = tmp_path_factory.mktemp("earlier") / "model"
    card = {"data": {"voxel_size_nm": [8.0, 8.0, 8.0]}}
    save_model(build_model(RUN, session.state(), threshold=scores.threshold, card=card), folder)
    session.close()
    return EarlierModel.read(folder)


def test_a_run_that_goes_on_is_better_than_one_from_scratch_at_the_same_budget(
    model: EarlierModel, new: TrainingVolume
) -> None:
    dice = {}
    for name, weights in (("scratch", None), ("on", model.weights())):
        session = open_session(new, tiles=6)
        if weights is not None:
            session.begin_with(weights)
        dice[name] = [session.advance().scores.dice for _ in range(2)][-1]
        session.close()
    assert dice["on"] > dice["scratch"] + 0.1


def test_weights_are_taken_and_the_optimizer_begins_anew(
    model: EarlierModel, new: TrainingVolume
) -> None:
    session, weights = open_session(new), model.weights()
    before = session.state()
    session.begin_with(weights)
    after = session.state()
    for name, array in after.items():
        path = name.removeprefix("model/")
        expected = weights[path] if path in weights else before[name]
        np.testing.assert_array_equal(array, expected)
    assert len(weights) == sum(name.startswith("model/") for name in after)
    with pytest.raises(InputError, match="begin with a model of the same network"):
        session.begin_with({**weights, "logits/kernel": np.zeros(3)})
    session.close()


def test_a_model_that_was_replaced_since_is_refused(model: EarlierModel, tmp_path: Path) -> None:
    other = EarlierModel(model.folder, "0" * 64, model.hyperparameters)
    with pytest.raises(InputError, match="expected the network with SHA-256 0000"):
        other.weights()


def test_volumes_are_learned_together_and_scored_each(
    old: TrainingVolume, new: TrainingVolume
) -> None:
    session = open_session(old, new)
    metrics = session.advance()
    each = [session.score(volume, metrics.scores.threshold) for volume in (old, new)]
    assert metrics.dice_by_volume == {"old": each[0].dice, "new": each[1].dice}
    assert metrics.scores.voxels == each[0].voxels + each[1].voxels == 2 * 128**2 + 3 * 114**2
    # Pooled over all voxels, and not a mean over volumes.
    pooled = PooledHistogram()
    for volume in (old, new):
        for section, probability in session._predict(volume):
            pooled.add(probability, volume.volume.mask[section])
    assert metrics.scores == pooled.best()
    session.close()
