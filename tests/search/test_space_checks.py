"""Spaces that cannot be searched, each refused in a line that names the key."""

from __future__ import annotations

import math
from typing import Any

import pytest

from search.space import build_space
from trainer.errors import InputError


def refusal(table: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        build_space(table)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("table", "parts"),
    [
        ({"learnin_rate": 0.1}, ["space.learnin_rate", "did you mean 'learning_rate'?"]),
        ({"xyz": 0.1}, ["space.xyz", "known are activation, "]),
        ({"learning_rate": {"low": 1e-2, "high": 1e-4}}, ["space.learning_rate", "low below high"]),
        ({"learning_rate": {"low": 1e-2, "high": 1e-2}}, ["space.learning_rate", "low below high"]),
        ({"depth": {"low": 4, "high": 2}}, ["space.depth", "low = 4 and high = 2"]),
        ({"learning_rate": {"low": "1e-4"}}, ["space.learning_rate.low", "a number", "'1e-4'"]),
        ({"learning_rate": {"high": True}}, ["space.learning_rate.high", "a number", "True"]),
        ({"learning_rate": {"high": math.inf}}, ["space.learning_rate.high", "a number"]),
        ({"learning_rate": {"low": math.nan}}, ["space.learning_rate.low", "a number"]),
        (
            {"learning_rate": {"lo": 1e-4}},
            ["space.learning_rate", "low, high, log, step or points", "'lo'"],
        ),
        ({"dropout": {"points": 10**9}}, ["space.dropout.points", "from 2 to 100000"]),
        ({"dropout": {"log": 1}}, ["space.dropout.log", "true or false"]),
        ({"dropout": {"log": True}}, ["space.dropout", "low above 0", "low = 0.0"]),
        ({"learning_rate": {"step": 0.01}}, ["space.learning_rate", "no step", "step = 0.01"]),
        ({"dropout": {"step": 0}}, ["space.dropout.step", "above 0", "0"]),
        ({"dropout": {"step": -0.1}}, ["space.dropout.step", "above 0", "-0.1"]),
        ({"dropout": {"high": 0.5, "step": 0.2}}, ["space.dropout", "whole steps", "end at 0.4"]),
        ({"depth": {"low": 1, "high": 3, "step": 0.5}}, ["space.depth.step", "whole number"]),
        ({"filters": {"low": 8, "high": 20, "step": 8}}, ["space.filters", "end at 16"]),
        ({"loss": []}, ["space.loss", "a list of different values", "[]"]),
        ({"loss": ["bce", "bce"]}, ["space.loss", "a list of different values"]),
        ({"loss": {"low": 1, "high": 2}}, ["space.loss", "a list of words"]),
        ({"batch_size": {"log": True}}, ["space.batch_size", "a list of choices"]),
        ({"loss": ["bce", "hinge"]}, ["space.loss", "bce_dice", "'hinge'"]),
        ({"loss": [["bce"]]}, ["space.loss", "['bce']"]),
        ({"loss": 3}, ["space.loss", "got 3"]),
        ({"batch_size": [8, 8.5]}, ["space.batch_size", "whole number", "8.5"]),
        ({"batch_size": [True]}, ["space.batch_size", "whole number", "True"]),
        ({"learning_rate": "fast"}, ["space.learning_rate", "a number", "'fast'"]),
        ({"learning_rate": -1.0}, ["space.learning_rate", "-1.0"]),
        ({"dropout": {"high": 2.0}}, ["space.dropout", "0.95", "2.0"]),
        ({"depth": {"low": 2.0, "high": 4}}, ["space.depth", "whole number", "2.0"]),
        ({"depth": {"low": 2, "high": 4.0}}, ["space.depth", "whole number", "4.0"]),
        ({"depth": {"low": 3, "high": 20}}, ["space.depth", "20"]),
        ({"tile_size": 100, "depth": 3}, ["space.tile_size", "multiple of 8", "100"]),
        ({"tile_size": 99, "depth": 4}, ["space.tile_size", "multiple of 16", "99"]),
        ({"tile_size": [128, 100], "depth": 3}, ["space.tile_size", "multiple of 8", "100"]),
        (
            {"tile_size": 48, "depth": {"low": 2, "high": 5}},
            ["space.tile_size", "multiple of 32", "depth"],
        ),
        (
            {
                "dimensions": "3d",
                "depth": 3,
                "tile_sections": {"low": 8, "high": 48, "step": 4},
            },
            ["space.tile_sections", "multiple of 8", "36"],
        ),
        (
            {"tile_size": {"low": 32, "high": 128}, "depth": 4},
            ["space.tile_size", "multiple of 16", "33"],
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_space_that_cannot_be_searched_is_refused_in_a_line_that_names_the_key(
    table: dict[str, Any], parts: list[str]
) -> None:
    message = refusal(table)
    assert message.startswith(parts[0])
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"momentum": {}}, "space.momentum: expected optimizer to be sgd in some run, got adam;"),
        (
            {"elastic_sigma": {}},
            "space.elastic_sigma: expected elastic_probability to be above 0 in some run, got 0.0;",
        ),
        (
            {"section_step": {}},
            "space.section_step: expected section_channels to be above 1 in some run, got 1;",
        ),
        (
            {"beta_2": {}, "optimizer": "sgd"},
            "space.beta_2: expected optimizer to be adam or adamw in some run, got sgd;",
        ),
    ],
)
def test_a_dimension_that_never_matters_is_refused(table: dict[str, Any], message: str) -> None:
    assert refusal(table).startswith(message)


def test_an_unknown_preset_is_refused() -> None:
    for name in ("best", ["report_2019"], 3):
        assert refusal({"preset": name}).startswith("space.preset: expected one of report_2019, ")


def test_levels_and_tiles_have_to_fit_each_other() -> None:
    table = {"depth": 4, "outer_levels": {"low": 0, "high": 2}, "tile_size": 48}
    assert refusal(table).startswith("space.tile_size: expected a multiple of 32 ")
    assert refusal({"filters": 2, "outer_levels": 2}).startswith("space.outer_levels: expected as ")


@pytest.mark.parametrize(
    ("table", "parts"),
    [
        (
            {"dimensions": ["2d", "3d"], "tile_sections": [8, 18]},
            ["space.tile_sections", "multiple of 4", "18"],
        ),
        ({"stem_stride": {"low": 1.0, "high": 2.0}}, ["space.stem_stride", "whole number", "1.0"]),
        ({"stem_stride": {"low": 1, "high": 8}}, ["space.stem_stride", "1, 2, 4 or 8", "got 3"]),
        ({"stem_stride": {"low": 1, "high": 4}}, ["space.stem_stride", "1, 2, 4 or 8", "got 3"]),
        ({"tile_sections": {}}, ["space.tile_sections", "expected dimensions to be 3d", "2d"]),
        (
            {"dimensions": "3d", "section_channels": {}},
            ["space.section_channels", "expected dimensions to be 2d", "3d"],
        ),
        (
            {"outer_levels": [-1, 0], "depth": {"low": 1, "high": 3}},
            ["space.outer_levels", "at least 0", "depth"],
        ),
    ],
)
def test_a_space_of_networks_that_cannot_be_built_is_refused(
    table: dict[str, Any], parts: list[str]
) -> None:
    message = refusal(table)
    for part in parts:
        assert part in message
