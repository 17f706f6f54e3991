from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest

from search.budget import Budget
from search.curves import ParametricCurves, position
from search.recorded_curves import load_recorded_curves
from search.results import status_row
from search.space import Space, build_space
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters

EPOCHS = 9
TABLE: dict[str, Any] = {
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "depth": {"low": 2, "high": 4},
    "loss": ["bce", "dice"],
    "filters": [8, 32],
}


@pytest.fixture
def space() -> Space:
    return build_space(TABLE)


def parametric(space: Space, **settings: Any) -> ParametricCurves:
    return ParametricCurves(space, epochs=EPOCHS, epoch_seconds=60, **{"seed": 1, **settings})


def runs() -> list[Hyperparameters]:
    return [
        Hyperparameters(learning_rate=10 ** (-2 - step / 20), depth=depth, loss=loss, filters=8)
        for step in range(41)
        for depth in (2, 3, 4)
        for loss in ("bce", "dice")
    ]


def test_the_same_run_learns_the_same_again(space: Space) -> None:
    first, second = parametric(space), parametric(space)
    for run in runs():
        assert first.curve(run) == first.curve(run) == second.curve(run)
    other = parametric(space, seed=2)
    assert [first.curve(run) for run in runs()] != [other.curve(run) for run in runs()]


def test_curves_are_dice_that_rise_and_settle(space: Space) -> None:
    for run in runs():
        curve = parametric(space, collapse_share=0, noise=0).curve(run)
        assert len(curve.values) == len(curve.epoch_seconds) == EPOCHS
        assert all(0 <= value <= 1 for value in curve.values)
        assert list(curve.values) == sorted(curve.values)
        steps = [
            after - before for before, after in zip(curve.values, curve.values[1:], strict=False)
        ]
        assert steps == sorted(steps, reverse=True)


def test_runs_differ_by_more_than_their_noise(space: Space) -> None:
    finals = [parametric(space, collapse_share=0).curve(run).values[-1] for run in runs()]
    assert max(finals) - min(finals) > 0.2
    assert max(finals) > 0.7


def test_some_runs_collapse(space: Space) -> None:
    curves = parametric(space, collapse_share=0.2, noise=0)
    collapsed = [run for run in runs() if curves.curve(run).values[-1] == 0.05]
    assert len(collapsed) / len(runs()) == pytest.approx(0.2, abs=0.08)


def test_a_3d_network_takes_longer_than_the_same_in_2d(space: Space) -> None:
    curves = parametric(space, spread=0, collapse_share=0)
    flat, planar, solid = (
        curves.curve(Hyperparameters(loss="bce", depth=3, filters=8, **values)).epoch_seconds[0]
        for values in ({}, {"dimensions": "3d", "planar_levels": 8}, {"dimensions": "3d"})
    )
    assert flat == pytest.approx(planar)
    assert 1.5 * flat < solid < 3 * flat


def test_larger_networks_take_longer(space: Space) -> None:
    curves = parametric(space, spread=0)
    (small, *_), (large, *_) = (
        curves.curve(Hyperparameters(filters=filters, loss="bce", depth=3)).epoch_seconds
        for filters in (8, 32)
    )
    assert large > 3 * small


def test_place_of_a_value_is_on_its_own_scale(space: Space) -> None:
    by_name = {each.name: each for each in space.dimensions}
    assert position(by_name["learning_rate"], 1e-3) == pytest.approx(0.5)
    assert position(by_name["depth"], 3) == pytest.approx(0.5)
    assert position(by_name["depth"], 9) == 1.0
    with pytest.raises(ValueError, match="loss: expected a range"):
        position(by_name["loss"], 1)


def write(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def load(path: Path, space: Space) -> Any:
    return load_recorded_curves(path, space, epochs=3, epoch_seconds=60)


def recorded(learning_rate: float, loss: str, *values: float, **more: Any) -> dict[str, Any]:
    params = {"learning_rate": learning_rate, "loss": loss, "depth": 3, "filters": 8}
    return {"params": params, "values": values, **more}


def test_the_nearest_trial_is_replayed(tmp_path: Path, space: Space) -> None:
    rows = [recorded(1e-4, "bce", 0.1, 0.2, 0.3), recorded(1e-2, "bce", 0.4, 0.5, 0.6)]
    curves = load(write(tmp_path / "curves.json", *rows), space)
    near = Hyperparameters(learning_rate=5e-3, loss="bce", depth=2, filters=8)
    assert curves.curve(near).values == (0.4, 0.5, 0.6)
    assert curves.curve(near).epoch_seconds == (60, 60, 60)


def test_another_choice_is_as_far_as_a_whole_range(tmp_path: Path, space: Space) -> None:
    rows = [recorded(1e-4, "dice", 0.1), recorded(1e-3, "bce", 0.4)]
    curves = load(write(tmp_path / "curves.json", *rows), space)
    run = Hyperparameters(learning_rate=1e-3, loss="dice", depth=3, filters=8)
    assert curves.curve(run).values == (0.1, 0.1, 0.1)


def test_recording_is_prolonged_and_cut(tmp_path: Path, space: Space) -> None:
    rows = [
        recorded(1e-4, "bce", 0.1, 0.2, user_attrs={"epoch_seconds": 7.5}),
        recorded(1e-2, "bce", 0.4, 0.5, 0.6, 0.7, epoch_seconds=[1, 2]),
    ]
    curves = load(write(tmp_path / "curves.json", {"study": "mito", "trials": rows}), space)
    low, high = (
        curves.curve(Hyperparameters(learning_rate=rate, loss="bce", depth=3, filters=8))
        for rate in (1e-4, 1e-2)
    )
    assert (low.values, low.epoch_seconds) == ((0.1, 0.2, 0.2), (7.5, 7.5, 7.5))
    assert (high.values, high.epoch_seconds) == ((0.4, 0.5, 0.6), (1, 2, 2))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "found none with a value"),
        ('{"trials": []}', "found none with a value"),
        ('[{"params": {"loss": "bce"}, "values": []}]', "found none with a value"),
        ("{", "expected JSON"),
        ('[{"values": [0.5]}]', "trial 0: params"),
        ('[{"params": {"loss": "bce"}, "values": ["high"]}]', "trial 0: values"),
        ('[{"params": {"loss": "bce"}, "values": [NaN]}]', "trial 0: values"),
        ('[{"params": {"loss": "mse"}, "values": [0.5]}]', "trial 0: .*loss"),
        ('[{"params": {}, "values": [0.5], "epoch_seconds": 0}]', "trial 0: epoch_seconds"),
        ("[3]", "trial 0: "),
    ],
)
def test_what_holds_no_trials_is_refused(
    tmp_path: Path, space: Space, text: str, problem: str
) -> None:
    path = tmp_path / "curves.json"
    path.write_text(text)
    with pytest.raises(InputError, match=problem) as caught:
        load(path, space)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_file_that_is_not_there_is_named(tmp_path: Path, space: Space) -> None:
    with pytest.raises(InputError, match=r"nowhere\.json: expected a file of trials: No such file"):
        load(tmp_path / "nowhere.json", space)


def test_what_status_prints_of_a_study_can_be_replayed(tmp_path: Path, space: Space) -> None:
    study = optuna.create_study(direction="maximize")
    trial = study.ask()
    space.suggest(trial)
    trial.report(0.25, 1)
    trial.report(0.5, 2)
    study.tell(trial, 0.5)
    row = status_row(study, Budget(trials=1), tmp_path)
    path = tmp_path / "status.json"
    path.write_text(json.dumps(row, default=str))
    assert load(path, space).curve(Hyperparameters()).values == (0.25, 0.5, 0.5)
