from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from keras import ops

from trainer import session as module
from trainer.errors import Diverged, InputError
from trainer.hyperparameters import Hyperparameters
from trainer.intensity import Intensity
from trainer.session import EpochMetrics, TrainingPlan, TrainingSession
from trainer.tiles import TileSource
from trainer.training_counts import pooled_dice
from trainer.training_step import StepResult
from trainer.training_volume import TrainingVolume
from trainer.volume import Volume

pytestmark = pytest.mark.usefixtures("device")

SMALL = {"depth": 1, "filters": 2, "tile_size": 32, "batch_size": 4}


def open_session(
    volume: Volume,
    *,
    epochs: int = 3,
    tiles: int = 1,
    seed: int = 0,
    precision: str = "float32",
    **values: Any,
) -> TrainingSession:
    return TrainingSession(
        [TrainingVolume.measure(volume, range(12), range(20, 24))],
        Hyperparameters(**{**SMALL, **values}),
        TrainingPlan(epochs=epochs, tiles_per_epoch=tiles, seed=seed),
        precision=precision,
    )


def assert_identical(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    differing = [name for name in one if one[name].tobytes() != other[name].tobytes()]
    assert not differing


@pytest.fixture(scope="module")
def learner(phantom: Volume) -> Iterator[TrainingSession]:
    session = open_session(
        phantom, epochs=4, tiles=6, filters=4, depth=2, learning_rate=0.01, dropout=0.1
    )
    yield session
    session.close()


@pytest.fixture(scope="module")
def epochs(learner: TrainingSession) -> list[EpochMetrics]:
    return [learner.advance() for _ in range(3)]


@pytest.fixture(scope="module")
def shared(phantom: Volume) -> Iterator[TrainingSession]:
    """A session that tests may change, for what does not depend on its weights."""
    session = open_session(phantom)
    yield session
    session.close()


def test_the_loss_falls_and_dice_rises(epochs: list[EpochMetrics], phantom: Volume) -> None:
    losses = [metrics.loss for metrics in epochs]
    assert losses == sorted(losses, reverse=True)
    # Calling everything foreground is what costs nothing to learn.
    share = phantom.mask[20:].mean()
    assert epochs[-1].scores.dice > 2 * share / (1 + share) + 0.1
    assert epochs[-1].scores.dice > epochs[0].scores.dice


def test_an_epoch_says_what_it_brought(epochs: list[EpochMetrics]) -> None:
    assert [metrics.epoch for metrics in epochs] == [1, 2, 3]
    for metrics in epochs:
        assert metrics.scores.voxels == 4 * 96 * 96
        assert metrics.collapsed_to is None
        assert 0 < metrics.seconds < 600


def test_the_score_is_that_of_the_best_threshold_on_the_validation_sections(
    epochs: list[EpochMetrics], learner: TrainingSession, phantom: Volume
) -> None:
    from trainer.model import build_model
    from trainer.predict import predict_sections

    model = build_model(
        learner.hyperparameters, learner.state(), threshold=epochs[-1].scores.threshold, card={}
    )
    sections, train = range(20, 24), range(12)
    predicted = predict_sections(
        model.network,
        phantom.raw,
        Intensity.measure(phantom.raw[train[0] : train[-1] + 1]),
        learner.hyperparameters,
        sections=sections,
    )
    prediction = model.segment(np.stack([probability for _, probability in predicted]))
    mask = phantom.mask[sections[0] : sections[-1] + 1]
    dice = 2 * np.sum(mask & prediction) / (mask.sum() + prediction.sum())
    assert dice == pytest.approx(epochs[-1].scores.dice, abs=1e-3)


def test_parameters_are_those_that_training_changes(shared: TrainingSession) -> None:
    # Convolutions 1-2, 2-2, 2-4, 4-4, 4-2, 2-2; transposed 4-2; logits; gamma and beta.
    convolutions = 9 * (1 * 2 + 2 * 2 + 2 * 4 + 4 * 4 + 4 * 2 + 2 * 2)
    others = (4 * 4 * 2 + 2) + (2 + 1) + 2 * (2 + 2 + 4 + 4 + 2 + 2)
    assert shared.parameters == convolutions + others


@pytest.mark.parametrize(
    ("tiles", "batch_size", "tile_size", "steps"),
    [(64, 8, 256, 8), (64, 8, 64, 128), (10, 4, 256, 2), (11, 4, 256, 3), (1, 16, 512, 1)],
)
@pytest.mark.parametrize("sections", [1, 4])
def test_an_epoch_is_the_same_number_of_voxels_for_every_tile(
    shared: TrainingSession,
    monkeypatch: pytest.MonkeyPatch,
    tiles: int,
    batch_size: int,
    tile_size: int,
    steps: int,
    sections: int,
) -> None:
    solid = {"dimensions": "3d", "tile_sections": sections} if sections > 1 else {}
    values = Hyperparameters(batch_size=batch_size, tile_size=tile_size, **solid)
    plan = TrainingPlan(1, tiles * sections)
    monkeypatch.setattr(shared, "hyperparameters", values)
    monkeypatch.setattr(shared, "plan", plan)
    assert shared.steps_per_epoch == steps


def test_dice_of_the_tiles_is_counted_as_the_network_saw_them(
    phantom: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(phantom, seed=3, batch_size=16)
    counted = np.zeros(3)
    make = session._step.make

    def watch(images: np.ndarray, masks: np.ndarray) -> StepResult:
        before = session.state()
        step = make(images, masks)
        after = session.state()
        session.restore(before)
        seen = np.asarray(session._network(images, training=True)) >= 0
        session.restore(after)
        counted[:] += [np.sum(seen * masks), seen.sum(), masks.sum()]
        return step

    monkeypatch.setattr(session._step, "make", watch)
    found = session.advance().train_dice
    assert 0 < found < 1
    assert found == pytest.approx(2 * counted[0] / (counted[1] + counted[2]), abs=1e-3)


@pytest.mark.parametrize(
    ("counts", "dice"), [((0, 0, 0), 1.0), ((0, 3, 0), 0.0), ((2, 3, 5), 0.5), ((4, 4, 4), 1.0)]
)
def test_dice_of_counts(counts: tuple[int, int, int], dice: float) -> None:
    assert pooled_dice(*counts) == dice


def test_the_loss_of_validation_is_the_mean_of_its_sections(
    epochs: list[EpochMetrics], learner: TrainingSession, phantom: Volume
) -> None:
    from trainer.losses import build_loss

    scale = Intensity.measure(phantom.raw[:12])
    loss = build_loss(learner.hyperparameters)
    expected = []
    for section in range(20, 24):
        logits = learner._network(
            scale.scale(phantom.raw[section])[None, ..., None], training=False
        )
        mask = phantom.mask[section].astype(np.float32)[None, ..., None]
        expected.append(float(loss(mask, np.asarray(logits))))
    assert epochs[-1].validation_loss == pytest.approx(np.mean(expected), rel=0.01)


def test_every_epoch_has_tiles_of_its_own_and_their_mean_loss(
    phantom: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module, "build_loss", lambda name: lambda mask, logits: ops.mean(mask + 0.0 * logits)
    )
    session = open_session(phantom, seed=6)
    learned = TrainingVolume.measure(phantom, range(12), ())
    tiles = TileSource([learned], session.hyperparameters, seed=6)
    for first in (0, 16):
        masks = [mask for _, mask in tiles.batches(first, 16)]
        assert session.advance().loss == pytest.approx(np.mean(masks), rel=1e-4)


SOLID = {"dimensions": "3d", "tile_sections": 8, "batch_size": 2}


@pytest.mark.parametrize(
    "kind",
    [{}, SOLID, {"precision": "mixed_float16"}, {"ema_momentum": 0.9}],
    ids=["2d", "3d", "float16", "ema"],
)
def test_a_restored_run_goes_on_to_the_bit(phantom: Volume, kind: dict[str, Any]) -> None:
    options = {"dropout": 0.3, "epochs": 2, "seed": 4, **kind}
    straight = open_session(phantom, **options)
    first = straight.advance()
    kept = straight.state()
    copies = {name: array.copy() for name, array in kept.items()}
    second = straight.advance()
    assert_identical(kept, copies)  # a state does not change behind its owner's back

    other = open_session(phantom, **options)
    other.restore(kept)
    assert_identical(other.state(), kept)
    again = other.advance()
    assert (first.epoch, second.epoch, again.epoch) == (1, 2, 2)
    timed = dict.fromkeys(
        ("seconds", "training_seconds", "validation_seconds", "waiting_seconds"), 0.0
    )
    assert replace(again, **timed) == replace(second, **timed)
    assert_identical(other.state(), straight.state())


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_names_in_a_state_are_the_same_in_every_session(
    phantom: Volume, optimizer: str, schedule: str
) -> None:
    values = {"optimizer": optimizer, "schedule": schedule, "dropout": 0.2}
    one, other = (open_session(phantom, seed=seed, **values).state() for seed in (0, 1))
    assert one.keys() == other.keys()
    assert any("seed" in name for name in one)


def test_the_seed_decides_the_weights(phantom: Volume) -> None:
    one, same, other = (open_session(phantom, seed=seed).state() for seed in (1, 1, 2))
    assert_identical(one, same)
    assert not np.array_equal(one["model/logits/kernel"], other["model/logits/kernel"])


@pytest.mark.parametrize(
    "values",
    [
        {"filters": 3},
        {"depth": 2},
        {"normalization": "none"},
        {"optimizer": "sgd"},
        {"dropout": 0.1},
        {"ema_momentum": 0.9},
    ],
)
def test_a_state_of_another_network_is_refused(
    phantom: Volume, shared: TrainingSession, values: dict[str, Any]
) -> None:
    before = shared.state()
    foreign = open_session(phantom, seed=9, **values)
    for session, state in ((shared, foreign.state()), (foreign, before)):
        with pytest.raises(InputError, match="expected the state of this network") as caught:
            session.restore(state)
        assert "\n" not in str(caught.value)
    assert_identical(shared.state(), before)


def test_nothing_is_no_state(shared: TrainingSession) -> None:
    with pytest.raises(InputError, match="got nothing"):
        shared.restore({})


def test_a_learning_rate_that_blows_up_is_divergence(phantom: Volume) -> None:
    session = open_session(
        phantom,
        optimizer="sgd",
        learning_rate=100.0,
        normalization="none",
        loss="bce",
        activation="elu",
        schedule="constant",
        tiles=4,
    )
    with pytest.raises(Diverged, match=r"^the loss became (nan|inf) in epoch 1$"):
        session.advance()


def test_a_loss_that_is_no_number_is_divergence(
    phantom: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module, "build_loss", lambda name: lambda mask, logits: 0.0 * logits[0, 0, 0, 0] / 0.0
    )
    with pytest.raises(Diverged, match=r"^the loss became nan in epoch 1$"):
        open_session(phantom).advance()


def test_weights_that_are_no_numbers_after_the_last_step_are_divergence(
    shared: TrainingSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, train = shared.state(), shared._train

    def spoil(last: deque[np.ndarray]) -> tuple[float, float, float]:
        trained = train(last)
        kernel = np.full_like(before["model/logits/kernel"], np.nan)
        shared.restore({**before, "model/logits/kernel": kernel})
        return trained

    monkeypatch.setattr(shared, "_train", spoil)
    with pytest.raises(Diverged, match="probabilities"):
        shared.advance()
    shared.restore(before)


def test_a_tile_larger_than_the_sections_is_refused(phantom: Volume) -> None:
    with pytest.raises(InputError) as caught:
        open_session(phantom, tile_size=128)
    assert str(caught.value) == (
        "tile_size: expected at most 96, the shorter side of the sections (96 x 96), got 128; "
        "choose a smaller tile_size"
    )


def test_a_tile_as_large_as_the_sections_is_taken(phantom: Volume) -> None:
    assert open_session(phantom, tile_size=96).steps_per_epoch == 2


def test_bfloat16_trains_and_goes_on_in_float32_state(phantom: Volume) -> None:
    session = open_session(phantom, precision="mixed_bfloat16")
    assert np.isfinite(session.advance().loss)
    weights = {n: a for n, a in session.state().items() if n.startswith("model/")}
    assert {array.dtype.name for array in weights.values()} == {"float32"}


def test_an_overflow_of_float16_skips_the_step_and_is_no_divergence(phantom: Volume) -> None:
    session = open_session(phantom, precision="mixed_float16", normalization="none", epochs=9)
    before = session.state()
    scale, steps = "optimizer/loss_scale/dynamic_scale", "optimizer/adam/iteration"
    session.restore({**before, scale: np.float32(2.0**60)})
    metrics = session.advance()
    after = session.state()
    assert np.isfinite([metrics.loss, metrics.validation_loss]).all()
    # Halved at each of the 16 steps, none of which changed a weight.
    assert (after[scale], after[steps]) == (2.0**44, 0)
    assert_identical(
        {name: array for name, array in after.items() if name.startswith("model/")},
        {name: array for name, array in before.items() if name.startswith("model/")},
    )
    session.restore({**after, scale: before[scale]})
    assert session.advance().loss < metrics.loss
    assert session.state()[steps] == 16


def test_a_tile_of_more_sections_than_there_are_to_train_on_is_refused(phantom: Volume) -> None:
    with pytest.raises(InputError) as caught:
        open_session(phantom, dimensions="3d", tile_sections=16)
    assert str(caught.value) == (
        "tile_sections: expected at most 12, the sections to train on, got 16; "
        "choose fewer tile_sections"
    )


def test_a_3d_run_draws_its_example_and_its_sections_are_the_models(phantom: Volume) -> None:
    from trainer.model import build_model

    session = open_session(phantom, **SOLID, planar_levels=1)
    metrics = session.advance()
    assert session.draw_example(0.5).shape[2] == 3
    model = build_model(session.hyperparameters, session.state(), threshold=0.5, card={})
    # A block of fewer sections than a tile, as those of validation are.
    probability = model.predict(phantom.raw[20:24, :50, :61])
    assert probability.shape == (4, 50, 61)
    assert metrics.scores.voxels == 4 * 96 * 96


def test_sections_too_large_for_the_memory_are_validated_in_windows(
    phantom: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []

    class Network:
        def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
            seen.append(images.shape)
            return np.full((*images.shape[:-1], 1), 0.5, np.float32)

    monkeypatch.setattr(module, "count_room", lambda networks, limit: 48 * 48)
    monkeypatch.setattr(module, "with_probability", lambda network: Network())
    session = open_session(phantom)
    volume = session._volumes[0]
    assert session.score(volume, 0.4).recall == 1.0
    assert {shape[0] for shape in seen} == {1}
    assert max(shape[1] for shape in seen) < volume.volume.raw.shape[1]
    session.close()
