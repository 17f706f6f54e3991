from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.space import Dimension, Space, build_space
from trainer.conditions import CONDITIONS
from trainer.errors import InputError
from trainer.hyperparameters import CHOICES, Hyperparameters
from trainer.presets import PRESETS

NAMES = [field.name for field in fields(Hyperparameters)]
HIGHEST = {
    each.name: each.metadata["limits"][1]
    for each in fields(Hyperparameters)
    if "limits" in each.metadata
}


def dimension(space: Space, name: str) -> Dimension:
    return next(each for each in space.dimensions if each.name == name)


def ask(space: Space, **enqueued: Any) -> tuple[Hyperparameters, dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    if enqueued:
        study.enqueue_trial(enqueued)
    trial = study.ask()
    return space.suggest(trial), trial.params


def fulfilling(name: str) -> dict[str, Any]:
    """Values of others under which a dimension matters."""
    values: dict[str, Any] = {}
    for other, condition in CONDITIONS.get(name, {}).items():
        value = condition[0] if isinstance(condition, tuple) else HIGHEST[other]
        values |= {other: value, **fulfilling(other)}
    return values


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_table_is_a_range_that_can_be_searched(name: str) -> None:
    space = build_space({**fulfilling(name), name: {}})
    (only,) = space.dimensions
    assert only.name == name
    assert only.choices or only.low < only.high
    run, params = ask(space)
    assert params == {name: getattr(run, name)}


def test_a_list_is_a_choice_and_a_value_is_fixed() -> None:
    space = build_space({"loss": ["bce", "dice"], "depth": 3, "epsilon": 1e-4})
    assert [each.name for each in space.dimensions] == ["loss"]
    run, params = ask(space, loss="dice")
    assert (run.loss, run.depth, run.epsilon) == ("dice", 3, 1e-4)
    assert params == {"loss": "dice"}


def test_bounds_stand_beside_the_defaults_of_the_range() -> None:
    only = dimension(build_space({"learning_rate": {"low": 1e-3}}), "learning_rate")
    assert (only.low, only.high, only.log) == (1e-3, 1e-1, True)


@pytest.mark.parametrize(
    ("name", "table", "values"),
    [
        ("depth", {"low": 2, "high": 4}, {2, 3, 4}),
        ("filters", {"low": 8, "high": 24, "step": 8}, {8, 16, 24}),
        ("dropout", {"low": 0.0, "high": 0.5, "step": 0.25}, {0.0, 0.25, 0.5}),
        ("loss", ["bce", "dice"], {"bce", "dice"}),
    ],
)
def test_every_value_of_a_dimension_comes_and_no_other(
    name: str, table: Any, values: set[Any]
) -> None:
    space = build_space({name: table, "tile_size": 64})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    assert {getattr(space.suggest(study.ask()), name) for _ in range(60)} == values


def test_a_logarithmic_range_is_searched_by_powers() -> None:
    space = build_space({"learning_rate": {"low": 1e-5, "high": 1e-1, "log": True}})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    drawn = [space.suggest(study.ask()).learning_rate for _ in range(200)]
    assert all(1e-5 <= value <= 1e-1 for value in drawn)
    assert 0.35 < sum(value < 1e-3 for value in drawn) / 200 < 0.65


def test_a_choice_of_whole_numbers_holds_no_other_kind() -> None:
    space = build_space({"batch_size": [4, 8], "dropout": [0, 0.5]})
    assert dimension(space, "batch_size").holds(8)
    assert not dimension(space, "batch_size").holds(8.0)
    assert dimension(space, "dropout").holds(0.0)


def test_whole_bounds_of_a_real_dimension_make_a_real_range() -> None:
    only = dimension(build_space({"rotation_degrees": {"low": 0, "high": 90}}), "rotation_degrees")
    assert isinstance(only.low, float)
    assert not ask(build_space({"rotation_degrees": {"low": 0, "high": 90}}))[
        0
    ].rotation_degrees.is_integer()


def test_tiles_and_depths_that_fit_each_other_are_taken() -> None:
    space = build_space(
        {"tile_size": {"low": 32, "high": 128, "step": 32}, "depth": {"low": 1, "high": 5}}
    )
    assert space.largest_tile() == 128


@pytest.mark.parametrize(
    ("table", "largest"), [({}, 256), ({"tile_size": 64}, 64), ({"tile_size": [64, 128]}, 128)]
)
def test_the_largest_tile_is_known(table: dict[str, Any], largest: int) -> None:
    assert build_space({**table, "depth": 3}).largest_tile() == largest


@pytest.mark.parametrize("name", NAMES)
def test_the_middle_of_a_default_range_is_a_run(name: str) -> None:
    space = build_space({**fulfilling(name), name: {}})
    assert dimension(space, name).holds(getattr(space.middle(), name))


def test_the_middle_of_stepped_tiles_can_be_halved() -> None:
    space = build_space({"tile_size": {"low": 32, "high": 64, "step": 32}, "depth": 5})
    assert space.middle().tile_size in (32, 64)


def test_the_middle_of_a_logarithmic_range_is_that_of_its_powers() -> None:
    space = build_space({"learning_rate": {"low": 1e-5, "high": 1e-1, "log": True}})
    assert space.middle().learning_rate == pytest.approx(1e-3)


TABLE = {
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "dropout": {"low": 0.0, "high": 0.5, "step": 0.1},
    "depth": {"low": 2, "high": 4},
    "loss": ["bce", "dice"],
    "filters": 16,
}


def test_a_space_comes_back_from_what_is_kept_of_it() -> None:
    space = build_space(TABLE)
    kept = json.loads(json.dumps(space.to_json()))
    assert kept == TABLE
    assert build_space(kept) == space


def test_a_range_that_begins_at_zero_keeps_its_beginning() -> None:
    kept = build_space({"dropout": {"low": 0, "high": 0.5}}).to_json()
    assert kept == {"dropout": {"low": 0.0, "high": 0.5}}


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(sorted(TABLE.keys() - {"filters"})), st.integers(0, 2**32 - 1))
def test_what_the_sampler_gives_is_held_and_completes_to_the_same_run(name: str, seed: int) -> None:
    space = build_space(TABLE)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    run = space.suggest(trial)
    assert dimension(space, name).holds(trial.params[name])
    assert space.complete(trial.params) == run
    space.check(trial.params, "start[0]")


@pytest.mark.parametrize(
    ("params", "part"),
    [
        ({"learning_rte": 1e-3}, "start[0].learning_rte"),
        ({"filters": 16}, "start[0].filters"),
        ({"learning_rate": 1.0}, "start[0].learning_rate"),
        ({"learning_rate": "1e-3"}, "'1e-3'"),
        ({"learning_rate": math.nan}, "nan"),
        ({"learning_rate": math.inf}, "inf"),
        ({"learning_rate": True}, "True"),
        ({"depth": 5}, "start[0].depth"),
        ({"depth": 3.0}, "3.0"),
        ({"depth": math.inf}, "inf"),
        ({"dropout": 0.25}, "start[0].dropout"),
        ({"loss": "hinge"}, "'hinge'"),
        ({"loss": ["bce"]}, "['bce']"),
    ],
    ids=str,
)
def test_values_outside_of_the_space_are_refused(params: dict[str, Any], part: str) -> None:
    with pytest.raises(InputError) as caught:
        build_space(TABLE).check(params, "start[0]")
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truth_value_is_no_choice_among_numbers() -> None:
    assert not Dimension("batch_size", choices=(1, 2)).holds(True)


def test_values_inside_of_the_space_are_taken_some_or_all() -> None:
    space = build_space(TABLE)
    space.check({}, "start[0]")
    space.check({"learning_rate": 1e-5, "dropout": 0.3, "depth": 4, "loss": "dice"}, "start[0]")


def test_the_words_of_every_default_choice_are_known() -> None:
    for name, words in CHOICES.items():
        space = build_space({**fulfilling(name), name: {}})
        assert dimension(space, name).choices == words


CONDITIONAL = {
    "momentum": {},
    "weight_decay": {},
    "beta_1": {},
    "optimizer": {},
    "elastic_sigma": {},
    "elastic_probability": [0.0, 0.5],
    "focal_gamma": {},
    "loss": ["bce", "focal"],
}


def test_a_sampler_is_asked_for_what_matters_and_nothing_else() -> None:
    space = build_space(CONDITIONAL)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=2))
    seen = set()
    for _ in range(60):
        trial = study.ask()
        run = space.suggest(trial)
        assert ("momentum" in trial.params) == (run.optimizer == "sgd")
        assert ("weight_decay" in trial.params) == (run.optimizer == "adamw")
        assert ("beta_1" in trial.params) == (run.optimizer in ("adam", "adamw"))
        assert ("elastic_sigma" in trial.params) == (run.elastic_probability > 0)
        assert ("focal_gamma" in trial.params) == (run.loss == "focal")
        assert space.complete(trial.params) == run
        seen.add(frozenset(trial.params))
    assert len(seen) == 3 * 2 * 2


def test_what_depends_on_what_does_not_matter_does_not_matter() -> None:
    space = build_space(
        {"shift": {}, "shift_probability": [0.5, 1.0], "tile_placement": ["random", "grid"]}
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=2))
    for _ in range(20):
        trial = study.ask()
        grid = space.suggest(trial).tile_placement == "grid"
        assert ("shift" in trial.params, "shift_probability" in trial.params) == (grid, grid)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_fixes_what_nothing_else_names(name: str) -> None:
    space = build_space({"preset": name, "learning_rate": {}, "batch_size": 5})
    assert [each.name for each in space.dimensions] == ["learning_rate"]
    run, _ = ask(space)
    expected = {**PRESETS[name], "batch_size": 5, "learning_rate": run.learning_rate}
    assert {key: run.to_mapping()[key] for key in expected} == expected


def test_a_start_takes_what_the_space_varies_from_a_preset() -> None:
    space = build_space({"preset": "report_2019", "epsilon": {}, "loss": ["bce", "dice"]})
    start = space.start({"preset": "report_2019"}, "start[0]")
    assert start == {"epsilon": 1e-7, "loss": "bce"}
    assert space.start({"preset": "report_2019", "loss": "dice"}, "s")["loss"] == "dice"
    assert space.start({"loss": "dice"}, "start[0]") == {"loss": "dice"}


def test_a_start_that_the_space_does_not_hold_is_refused() -> None:
    space = build_space({"epsilon": {}, "schedule": "cosine"})
    with pytest.raises(InputError, match=r"^start\[0\]\.preset: expected a space with schedule ="):
        space.start({"preset": "report_2019"}, "start[0]")
    with pytest.raises(InputError, match=r"^start\[1\]\.preset: expected one of report_2019, "):
        space.start({"preset": "report_2018"}, "start[1]")


def test_all_default_ranges_together_are_a_space() -> None:
    space = build_space({name: {} for name in NAMES})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    assert len({space.suggest(study.ask()) for _ in range(30)}) == 30


SOLID = {"dimensions": ["2d", "3d"], "tile_size": 256}


@pytest.mark.parametrize(
    ("table", "deepest"),
    [
        ({}, 1),
        ({"tile_sections": 64}, 1),
        ({"dimensions": "3d"}, 16),
        (SOLID, 16),
        ({**SOLID, "tile_sections": [8, 32]}, 32),
    ],
)
def test_the_deepest_tile_is_known(table: dict[str, Any], deepest: int) -> None:
    assert build_space(table).deepest_tile() == deepest


def test_the_voxels_of_a_volume_decide_over_the_planar_levels() -> None:
    space = build_space(SOLID).for_voxels((40.0, 4.0, 4.0))
    assert space.complete({"dimensions": "3d"}).planar_levels == 3
    assert [each.name for each in space.dimensions] == ["dimensions"]
    # As a study keeps them, and as one that was exported comes back.
    assert build_space(SOLID).for_voxels([40.0, 4.0, 4.0]) == space
    folded = build_space({**SOLID, "stem_stride": 2}).for_voxels((40.0, 4.0, 4.0))
    assert folded.fixed["planar_levels"] == space.fixed["planar_levels"] - 1


@pytest.mark.parametrize(
    ("table", "voxels"),
    [
        (SOLID, None),
        ({}, (40.0, 4.0, 4.0)),
        ({**SOLID, "planar_levels": 0}, (40.0, 4.0, 4.0)),
        ({**SOLID, "planar_levels": {}}, (40.0, 4.0, 4.0)),
    ],
)
def test_what_the_config_says_of_planar_levels_goes_before_the_voxels(
    table: dict[str, Any], voxels: tuple[float, float, float] | None
) -> None:
    space = build_space(table)
    assert space.for_voxels(voxels) == space
