from __future__ import annotations

from typing import Any

import pytest

from search.one_at_a_time import OneAtATime, plan_one_at_a_time
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.presets import PRESETS

REPORT = {"preset": "report_2019", "filters": 8, "depth": 4}


def plan(
    table: dict[str, Any], *changes: dict[str, Any], start: dict[str, Any] | None = None
) -> OneAtATime:
    return plan_one_at_a_time(table, start, changes)


def run(planned: OneAtATime, index: int) -> Hyperparameters:
    return planned.space.complete(planned.entry(index).params)


def names(planned: OneAtATime) -> list[str | None]:
    return [planned.entry(index).change for index in range(planned.size)]


def test_named_changes_are_made_to_a_preset_one_at_a_time() -> None:
    planned = plan(
        REPORT,
        {"name": "Learning rate 1E-1", "learning_rate": 0.1},
        {"name": "Batch size 20", "batch_size": 20},
        {"name": "Combination of all best", "learning_rate": 1e-4, "batch_size": 5, "loss": "dice"},
        {"name": "16 filters added", "preset": "report_2019_16_filters_added"},
    )
    assert names(planned) == [
        "baseline",
        "Learning rate 1E-1",
        "Batch size 20",
        "Combination of all best",
        "16 filters added",
    ]
    baseline = Hyperparameters.from_mapping({**PRESETS["report_2019"], "filters": 8, "depth": 4})
    assert run(planned, 0) == baseline
    different = [
        {
            name: value
            for name, value in run(planned, index).to_mapping().items()
            if value != baseline.to_mapping()[name]
        }
        for index in range(1, planned.size)
    ]
    assert different == [
        {"learning_rate": 0.1},
        {"batch_size": 20},
        {"learning_rate": 1e-4, "batch_size": 5, "loss": "dice"},
        {"outer_levels": 1},
    ]
    by_name = {each.name: each for each in planned.space.dimensions}
    assert set(by_name["learning_rate"].choices) == {1e-3, 0.1, 1e-4}
    assert planned.space.middle() == baseline


def test_a_change_that_changes_nothing_is_another_name_of_the_baseline() -> None:
    planned = plan(
        REPORT,
        {"name": "Batch size 3", "batch_size": 3},
        {"name": "Dropout", "dropout": 0.2},
        {"name": "Dropout again", "dropout": 0.2},
        {"name": "Momentum, where there is none", "momentum": 0.5},
    )
    assert names(planned) == [
        "baseline; Batch size 3; Momentum, where there is none",
        "Dropout; Dropout again",
    ]


def test_without_changes_every_value_is_tried_alone() -> None:
    planned = plan(
        {
            "loss": ["bce", "dice"],
            "optimizer": ["adam", "sgd"],
            "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
            "momentum": {},
        },
        start={"loss": "bce", "optimizer": "adam", "learning_rate": 3e-4},
    )
    # The momentum does not matter beside adam.
    assert names(planned) == [
        "baseline",
        "loss = dice",
        "optimizer = sgd",
        "learning_rate = 0.0001",
        "learning_rate = 0.001",
        "learning_rate = 0.01",
    ]
    assert run(planned, 0).learning_rate == 3e-4
    assert "momentum" in planned.entry(2).params


def test_the_baseline_is_the_start_else_the_preset_else_the_middle() -> None:
    varied = {"dropout": {"low": 0.0, "high": 0.4}}
    assert plan(varied).defaults == {"dropout": 0.2}
    assert plan({**varied, "preset": "report_2019"}).defaults == {"dropout": 0.0}
    started = plan({**varied, "preset": "report_2019"}, start={"dropout": 0.1})
    assert started.defaults == {"dropout": 0.1}


@pytest.mark.parametrize(
    ("table", "changes", "problem"),
    [
        ({"preset": "report_2019", "filters": [8, 16]}, [], r"space\.filters: .*baseline's 32"),
        (REPORT, [{"name": "a", "tile_size": 40}], r"change\[0\]\.tile_size: .*multiple of 16"),
        (REPORT, [{"name": "", "dropout": 0.1}], r"change\[0\]\.name: expected what"),
        (REPORT, [{"name": "a; b", "dropout": 0.1}], r"change\[0\]\.name: .*without '; '"),
        (
            REPORT,
            [{"name": "a", "dropout": 0.1}, {"name": "a", "dropout": 0.2}],
            r"change\[1\]\.name: expected another name .*got 'a'",
        ),
        (REPORT, [{"name": "a", "preset": ["unet"]}], r"change\[0\]\.preset: expected one of"),
        (REPORT, [{"name": "baseline", "dropout": 0.1}], r"change\[0\]\.name: expected another"),
        (REPORT, [{"name": "a", "reported": 0.9}], r"change\[0\]\.reported: expected a table"),
        (REPORT, [{"name": "a", "reported": {"dice": 1}}], r"reported: .*validation_dice.*'dice'"),
        *(
            (
                REPORT,
                [{"name": "a", "reported": {"train_dice": value}}],
                rf"change\[0\]\.reported\.train_dice: expected a number, got {value!r}",
            )
            for value in ("0.9", True, float("nan"))
        ),
        (REPORT, [{"name": "a", "loss": ["bce"]}], r"change\[0\]\.loss: expected one of"),
        (
            {"dropout": {"low": 0.0, "high": 0.4}},
            [{"name": "a", "dropout": 0.5}],
            r"change\[0\]\.dropout: expected a value within",
        ),
    ],
)
def test_what_cannot_be_planned_is_refused(
    table: dict[str, Any], changes: list[dict[str, Any]], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        plan(table, *changes)


def test_a_start_with_a_preset_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match=r"start\[0\]\.preset: expected one of .*'report_2019'\]"):
        plan_one_at_a_time(REPORT, {"preset": ["report_2019"]}, [{"name": "a", "dropout": 0.1}])
