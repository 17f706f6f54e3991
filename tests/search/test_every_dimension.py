"""Every dimension at every one of its values, in as few runs as hold them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from search.default_ranges import DEFAULT_RANGES
from search.space import build_space
from storage.checkpoints import Checkpoint, CheckpointStore
from trainer.conditions import CONDITIONS
from trainer.device import configure_device
from trainer.hyperparameters import Hyperparameters
from trainer.model import build_model, load_model, save_model
from trainer.phantom import build_phantom
from trainer.session import EpochMetrics, TrainingPlan, TrainingSession
from trainer.training_volume import TrainingVolume
from trainer.volume import Volume

SMALL = {
    "ema_momentum": [0.0, 0.9],
    "batch_size": [2, 4],
    "filters": [4, 8],
    "depth": {"low": 2, "high": 3},
    "outer_levels": [-1, 0],
    "tile_size": [32, 64],
    "tile_sections": [4, 8],
    # Whether a run of some steps learns at its ends is not the network's affair.
    "learning_rate": {"low": 5e-3, "high": 1e-2, "log": True},
    "epsilon": {"low": 1e-8, "high": 1e-3, "log": True},
    "momentum": {"low": 0.8, "high": 0.95},
}
"""Instead of the default range, so that a run takes seconds."""

Values = Mapping[str, Any]
_MOST_RUNS = 15


SPACE = build_space({**DEFAULT_RANGES, **SMALL})
CHOICES = {each.name: each.extremes() for each in SPACE.dimensions}


def _covered(values: Values) -> set[tuple[str, Any]]:
    """The values that a sampler is asked for: those that matter beside the others."""
    trial = optuna.trial.FixedTrial(dict(values))
    SPACE.suggest(trial)
    return set(trial.params.items())


def _runs() -> list[dict[str, Any]]:
    """Runs that hold every value where it matters: of many drawn, always the one with most news."""
    missing = {(name, value) for name, values in CHOICES.items() for value in values}
    random = np.random.default_rng(0)
    runs: list[dict[str, Any]] = []
    while missing and len(runs) < _MOST_RUNS:
        drawn = [
            {name: values[int(random.integers(len(values)))] for name, values in CHOICES.items()}
            for _ in range(200)
        ]
        runs.append(max(drawn, key=lambda values: len(missing & _covered(values))))
        missing -= _covered(runs[-1])
    return runs


RUNS = _runs()


@pytest.fixture(scope="module")
def volume() -> Volume:
    configure_device(1)
    return build_phantom(24, 96, 96, seed=3)


def open_session(volume: Volume, values: Values) -> TrainingSession:
    run = Hyperparameters.from_mapping(values)
    learned = TrainingVolume.measure(volume, range(14), range(20, 24))
    return TrainingSession([learned], run, TrainingPlan(3, 4, seed=1))


def test_the_runs_hold_every_value_of_every_dimension() -> None:
    covered = set().union(*map(_covered, RUNS))
    assert {name for name, _ in covered} == {each.name for each in fields(Hyperparameters)}
    for name, values in CHOICES.items():
        assert {(name, value) for value in values} <= covered


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning:keras.src.backend"
)
@pytest.mark.parametrize("number", range(len(RUNS)))
def test_a_run_trains_goes_on_predicts_and_is_exported(
    volume: Volume, number: int, tmp_path: Path
) -> None:
    values = RUNS[number]
    session = open_session(volume, values)
    first = session.advance()
    store = CheckpointStore(tmp_path / "checkpoints")
    store.save(number, Checkpoint(1, session.state(), {}))
    second = session.advance()
    after = session.state()
    _assert_learned([first, second, session.advance()])

    kept = store.load(number)
    assert kept is not None
    # Another session takes the state; that it goes on alike is for test_session.py, where the
    # framework traces its steps once more.
    again = open_session(volume, values)
    again.restore(kept.arrays)
    _assert_identical(again.state(), kept.arrays)
    session.restore(kept.arrays)
    assert session.advance().loss == second.loss
    _assert_identical(session.state(), after)

    model = build_model(
        session.hyperparameters, session.state(), threshold=0.5, card={"data": None}
    )
    save_model(model, tmp_path / "model")
    raw = volume.raw[20:23, :50, :61]
    probability = load_model(tmp_path / "model").predict(raw)
    assert probability.shape == raw.shape
    assert np.abs(probability.astype(int) - model.predict(raw)).max() <= 1
    session.close()
    again.close()


def _assert_identical(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    assert not [name for name in one if one[name].tobytes() != other[name].tobytes()]


def _assert_learned(epochs: list[EpochMetrics]) -> None:
    # In so few steps the tiles may be harder than the first ones by chance, or a network that
    # learns them may fit other sections less.
    learned = [each.loss for each in epochs]
    others = [each.validation_loss for each in epochs]
    assert np.isfinite([*learned, *others]).all()
    assert min(learned[1:]) < learned[0] or min(others[1:]) < others[0]


def test_what_decides_stands_before_what_it_decides_of() -> None:
    names = [each.name for each in fields(Hyperparameters)]
    for name, conditions in CONDITIONS.items():
        assert all(names.index(other) < names.index(name) for other in conditions)
