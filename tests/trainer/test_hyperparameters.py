from __future__ import annotations

import json
from dataclasses import Field, fields
from typing import Any

import pytest

from trainer.errors import InputError
from trainer.hyperparameters import CHOICES, NETWORK_FIELDS, Hyperparameters

NUMBERS = [f.name for f in fields(Hyperparameters) if not isinstance(f.default, str)]
WHOLE = [name for name in NUMBERS if isinstance(getattr(Hyperparameters, name), int)]


def refusal(**values: Any) -> str:
    with pytest.raises(InputError) as caught:
        Hyperparameters(**values)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", CHOICES)
def test_an_unknown_word_is_refused_with_the_known_ones(name: str) -> None:
    message = refusal(**{name: "adagrad"})
    assert message == f"{name}: expected one of {', '.join(CHOICES[name])}, got 'adagrad'"


@pytest.mark.parametrize("name", CHOICES)
def test_every_known_word_is_taken(name: str) -> None:
    for word in CHOICES[name]:
        assert getattr(Hyperparameters(**{name: word}), name) == word


def test_the_categorical_ones_are_those_with_choices() -> None:
    assert {f.name for f in fields(Hyperparameters)} - set(NUMBERS) == set(CHOICES)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["3", None, True, float("nan"), float("inf"), -1e-9, -3])
def test_what_is_no_number_in_range_is_refused_by_its_name(name: str, value: Any) -> None:
    message = refusal(**{name: value})
    assert message.startswith(f"{name}: expected a")
    assert message.endswith(f"got {value!r}")


@pytest.mark.parametrize("name", WHOLE)
def test_a_fraction_is_refused_where_a_whole_number_is_needed(name: str) -> None:
    assert refusal(**{name: 8.0}) == f"{name}: expected a whole number, got 8.0"


def test_the_line_says_the_range() -> None:
    expected = "dropout: expected a number from 0 to 0.95, got 0.96"
    assert refusal(dropout=0.96) == expected


def test_a_whole_number_is_taken_for_a_fraction() -> None:
    assert Hyperparameters(learning_rate=1, zoom=0).learning_rate == 1


@pytest.mark.parametrize(("depth", "tile_size"), [(3, 8), (4, 48), (5, 256), (8, 512)])
def test_a_tile_that_the_depth_can_halve_is_taken(depth: int, tile_size: int) -> None:
    assert Hyperparameters(depth=depth, tile_size=tile_size).halvings == 2**depth


@pytest.mark.parametrize(("depth", "tile_size"), [(4, 24), (5, 250), (8, 128)])
def test_a_tile_that_the_depth_cannot_halve_is_refused(depth: int, tile_size: int) -> None:
    message = refusal(depth=depth, tile_size=tile_size)
    assert message.startswith(f"tile_size: expected a multiple of {2**depth} ")
    assert f"got {tile_size};" in message


def test_a_stem_counts_among_what_a_tile_is_divided_by() -> None:
    assert Hyperparameters(depth=3, tile_size=32, stem_stride=4).halvings == 32
    assert refusal(depth=3, tile_size=16, stem_stride=4) == (
        "tile_size: expected a multiple of 32 (stem_stride = 4, then halved 3 times), got 16; "
        "change tile_size, stem_stride or depth"
    )
    assert refusal(stem_stride=3) == "stem_stride: expected 1, 2, 4 or 8, got 3"


@pytest.mark.parametrize(
    ("values", "filters"),
    [
        ({"outer_levels": 1}, (16, 32, 64, 128)),
        ({"outer_levels": 0}, (32, 64, 128)),
        ({"outer_levels": -1}, (64, 128)),
        ({"outer_levels": -1, "centre_levels": 1}, (64, 128, 256)),
        ({"outer_levels": -2, "depth": 3}, (128, 256)),
    ],
)
def test_the_outermost_levels_can_be_removed(
    values: dict[str, int], filters: tuple[int, ...]
) -> None:
    run = Hyperparameters(**{"depth": 2, "filters": 32, **values})
    assert run.level_filters == filters
    assert run.halvings == 2 ** (len(filters) - 1)


@pytest.mark.parametrize("values", [{"depth": 1, "outer_levels": -1}, {"outer_levels": -2}])
def test_one_level_at_least_is_left(values: dict[str, int]) -> None:
    run = {"depth": 2, **values}
    assert refusal(**run) == (
        f"outer_levels: expected at least {1 - run['depth']}, so that of depth = {run['depth']} a "
        f"level is left, got {run['outer_levels']}; change outer_levels or depth"
    )


def test_a_3d_tile_has_sections_that_can_be_halved() -> None:
    for sections in (1, 7, 8, 10, 16, 20):
        Hyperparameters(dimensions="3d", tile_sections=sections)
    assert refusal(dimensions="3d", tile_sections=18) == (
        "tile_sections: expected a multiple of 4 (the network halves it until about 4 are left), "
        "got 18; change tile_sections"
    )
    # What does not halve them takes any number.
    Hyperparameters(tile_sections=18)
    Hyperparameters(dimensions="3d", tile_sections=18, planar_levels=8)


def test_values_come_back_from_json() -> None:
    given = Hyperparameters(optimizer="sgd", learning_rate=3e-4, depth=3, tile_size=64)
    kept = json.loads(json.dumps(given.to_mapping()))
    assert Hyperparameters.from_mapping(kept) == given


def test_a_mapping_needs_only_what_differs_from_the_defaults() -> None:
    assert Hyperparameters.from_mapping({"depth": 4}) == Hyperparameters(depth=4)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"^learning_rat: expected one of activation, .*zoom"):
        Hyperparameters.from_mapping({"learning_rat": 1e-3})


CHANGED = {
    "dimensions": "3d",
    "depth": 2,
    "filters": 16,
    "outer_levels": 1,
    "centre_levels": 1,
    "section_channels": 3,
    "section_step": 2,
    "planar_levels": 1,
    "tile_sections": 8,
    "tile_size": 32,
    "dropout": 0.2,
}
"""Another value of what shapes a network, or seems to."""


@pytest.mark.slow
@pytest.mark.parametrize("solid", [False, True], ids=["2d", "3d"])
def test_runs_that_are_alike_in_their_network_build_the_same_one(solid: bool) -> None:
    from trainer.unet import build_unet

    common = {"depth": 1, "filters": 8, "tile_size": 16, "dimensions": "3d" if solid else "2d"}
    run = Hyperparameters(**common)
    built = _layers(build_unet(run))
    others = {each.name: _another(each) for each in fields(Hyperparameters)}
    if solid:
        others["dimensions"] = "2d"
    shaping = {name: others.pop(name) for name in NETWORK_FIELDS}
    for changes in ({name: value} for name, value in shaping.items()):
        changed = Hyperparameters(**{**common, **changes})
        alike = dict(run.network) == dict(changed.network)
        assert alike == (_layers(build_unet(changed)) == built), changes
    # Whatever else there is changes nothing about it.
    changed = Hyperparameters(**{**common, **others})
    assert dict(run.network) == dict(changed.network)
    assert _layers(build_unet(changed)) == built


def _another(field: Field[Any]) -> Any:
    """A value of a hyperparameter that is not its default."""
    if field.name in CHANGED:
        return CHANGED[field.name]
    if "choices" in field.metadata:
        return next(word for word in field.metadata["choices"] if word != field.default)
    low, high = field.metadata["limits"]
    return high if isinstance(field.default, int) else (low if field.default != low else high)


def _layers(network: Any) -> list[Any]:
    """What the layers with and without weights do, but for dropout."""
    keys = ("activation", "pool_size", "strides", "size", "groups")
    return [
        (
            type(layer).__name__,
            [weight.shape for weight in layer.weights],
            *(str(layer.get_config().get(key)) for key in keys),
        )
        for layer in network.layers
        if type(layer).__name__ != "Dropout"
    ]
