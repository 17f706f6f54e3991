"""Whether the values of a space fit each other."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trainer.conditions import CONDITIONS, describe_condition, fulfils
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    from search.space import Space

_FITTING = (
    "dimensions",
    "depth",
    "outer_levels",
    "centre_levels",
    "filters",
    "stem_stride",
    "planar_levels",
    "tile_size",
    "tile_sections",
)
"""Hyperparameters that make a network together, and have to fit each other."""


def check_networks(space: Space) -> None:
    """Refuses a space that holds a network that cannot be built.

    Raises:
        InputError: Which values do not fit each other.
    """
    values = _values(space)
    for name in values.keys() - set(_FITTING):
        for value in values[name]:
            _try({name: value})
    together = [values.get(name, (getattr(Hyperparameters, name),)) for name in _FITTING]
    for combination in itertools.product(*together):
        _try(dict(zip(_FITTING, combination, strict=True)))
    _check_strides(space)
    _check_stacks(space, values)


def _check_strides(space: Space) -> None:
    """Tries every stride: between 1, 2 and 8 there are others that are none."""
    for dimension in space.dimensions:
        if dimension.name == "stem_stride":
            for value in dimension.every():
                _try({"stem_stride": value})


def _check_stacks(space: Space, values: Mapping[str, tuple[Any, ...]]) -> None:
    """Tries every number of sections: 40 and 48 may suit the pooling where 44 does not."""
    drawn = {each.name: each for each in space.dimensions}
    if "tile_sections" not in drawn or "3d" not in values.get("dimensions", ()):
        return
    planar = ("dimensions", "filters", "stem_stride", "tile_size")
    names = [name for name in _FITTING if name not in planar]
    every = [
        drawn[name].every()
        if name in drawn
        else values.get(name, (getattr(Hyperparameters, name),))
        for name in names
    ]
    for combination in itertools.product(*every):
        _try({"dimensions": "3d", **dict(zip(names, combination, strict=True))})


def check_conditions(space: Space) -> None:
    """Refuses a dimension that no run of the space would ever ask for.

    Raises:
        InputError: What it depends on.
    """
    values = _values(space)
    for dimension in space.dimensions:
        for other, condition in CONDITIONS.get(dimension.name, {}).items():
            drawn = values.get(other, (getattr(Hyperparameters, other),))
            if not any(fulfils(value, condition) for value in drawn):
                expected = describe_condition(condition)
                raise InputError(
                    f"space.{dimension.name}: expected {other} to be {expected} in some run, "
                    f"got {', '.join(map(str, drawn))}; change {other}, or remove {dimension.name}"
                )


def _values(space: Space) -> dict[str, tuple[Any, ...]]:
    """The values that stand for all, by the names of what the section names."""
    values = {each.name: each.extremes() for each in space.dimensions}
    return values | {name: (value,) for name, value in space.fixed.items()}


def _try(params: Mapping[str, Any]) -> None:
    try:
        Hyperparameters.from_mapping(params)
    except InputError as error:
        raise InputError(f"space.{error}") from None
