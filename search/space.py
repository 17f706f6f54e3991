"""The dimensions of a search, as data."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

import optuna

from trainer.errors import InputError
from trainer.hyperparameters import CHOICES, Hyperparameters

_DEFAULTS: Mapping[str, Any] = {
    "optimizer": list(CHOICES["optimizer"]),
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "beta_1": {"low": 0.8, "high": 0.99},
    "beta_2": {"low": 0.9, "high": 0.9999},
    "epsilon": {"low": 1e-8, "high": 1e-1, "log": True},
    "momentum": {"low": 0.5, "high": 0.99},
    "weight_decay": {"low": 1e-5, "high": 1e-1, "log": True},
    "schedule": list(CHOICES["schedule"]),
    "batch_size": [2, 4, 8, 16],
    "loss": list(CHOICES["loss"]),
    "focal_gamma": {"low": 1.0, "high": 4.0},
    "tversky_alpha": {"low": 0.1, "high": 0.9},
    "depth": {"low": 3, "high": 6},
    "filters": [16, 32, 64],
    "kernel": list(CHOICES["kernel"]),
    "activation": list(CHOICES["activation"]),
    "normalization": list(CHOICES["normalization"]),
    "dropout": {"low": 0.0, "high": 0.5},
    "upsampling": list(CHOICES["upsampling"]),
    "block": list(CHOICES["block"]),
    "gate": list(CHOICES["gate"]),
    "tile_size": [128, 256, 512],
    "flip_probability": {"low": 0.0, "high": 0.5},
    "rotation_degrees": {"low": 0.0, "high": 180.0},
    "zoom": {"low": 0.0, "high": 0.4},
    "brightness": {"low": 0.0, "high": 0.3},
    "contrast": {"low": 0.0, "high": 0.3},
}
"""The range of a dimension that a config names with an empty table."""


@dataclass(frozen=True)
class Dimension:
    """One hyperparameter that the search varies: a range, or a list of choices."""

    name: str
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    step: float | int | None = None
    choices: tuple[Any, ...] = ()

    def suggest(self, trial: optuna.Trial) -> Any:
        """Asks the trial's sampler for a value."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(
                self.name, self.low, self.high, step=int(self.step or 1), log=self.log
            )
        return trial.suggest_float(
            self.name, _number(self.low), _number(self.high), step=self.step, log=self.log
        )

    def extremes(self) -> tuple[Any, ...]:
        """The values that stand for all: every choice, or the ends and the first step."""
        if self.choices:
            return self.choices
        if isinstance(self.low, int):
            return (self.low, self.low + (self.step or 1), self.high)
        return (self.low, self.high)

    def holds(self, value: Any) -> bool:
        """Whether the sampler could have given this value."""
        if isinstance(value, bool):
            return False
        if self.choices:
            return value in self.choices
        if not isinstance(value, int if isinstance(self.low, int) else int | float):
            return False
        within = _number(self.low) <= value <= _number(self.high)
        return within and math.isclose(value, self._on_grid(value), abs_tol=1e-12)

    def middle(self) -> Any:
        """A value from the middle, on the dimension's own scale."""
        if self.choices:
            return self.choices[len(self.choices) // 2]
        low, high = _number(self.low), _number(self.high)
        return self._on_grid(math.sqrt(low * high) if self.log else (low + high) / 2)

    def to_json(self) -> Any:
        """The dimension as a config would write it."""
        if self.choices:
            return list(self.choices)
        table = {"low": self.low, "high": self.high, "log": self.log, "step": self.step}
        return {
            key: value for key, value in table.items() if value is not None and value is not False
        }

    def _on_grid(self, value: float) -> float | int:
        """The value, or the nearest one that a sampler would give."""
        low, step = _number(self.low), self.step or int(isinstance(self.low, int))
        if step:
            value = low + round((value - low) / step) * step
        return int(value) if isinstance(self.low, int) else value


@dataclass(frozen=True)
class Space:
    """Every hyperparameter of a study, varied or fixed."""

    dimensions: tuple[Dimension, ...]
    fixed: Mapping[str, Any]

    def suggest(self, trial: optuna.Trial) -> Hyperparameters:
        """Asks the sampler for one U-Net run."""
        drawn = {dimension.name: dimension.suggest(trial) for dimension in self.dimensions}
        return Hyperparameters.from_mapping({**self.fixed, **drawn})

    def complete(self, params: Mapping[str, Any]) -> Hyperparameters:
        """The run that a trial's parameters stand for."""
        return Hyperparameters.from_mapping({**self.fixed, **params})

    def middle(self) -> Hyperparameters:
        """A run from the middle of every dimension, to estimate costs with."""
        return self.complete({each.name: each.middle() for each in self.dimensions})

    def largest_tile(self) -> int:
        """The largest tile that a trial may have."""
        for dimension in self.dimensions:
            if dimension.name == "tile_size":
                return max(int(value) for value in dimension.extremes())
        return int(self.fixed.get("tile_size", Hyperparameters.tile_size))

    def to_json(self) -> dict[str, Any]:
        """The space as a config would write it, every fixed value included."""
        return {each.name: each.to_json() for each in self.dimensions} | dict(self.fixed)

    def check(self, params: Mapping[str, Any], where: str) -> None:
        """Refuses values that lie outside of the space.

        Args:
            params: Values under the names of dimensions.
            where: Named in the message.

        Raises:
            InputError: A name that is no dimension, or a value outside of its range.
        """
        known = {dimension.name: dimension for dimension in self.dimensions}
        for name, value in params.items():
            if name not in known:
                raise InputError(
                    f"{where}.{name}: expected a dimension of [space] "
                    f"({', '.join(known) or 'it has none'}), got {name!r}; correct the name"
                )
            if not known[name].holds(value):
                raise InputError(
                    f"{where}.{name}: expected a value within {known[name].to_json()}, "
                    f"got {value!r}; change the value or the space"
                )


def build_space(table: Mapping[str, Any]) -> Space:
    """Reads the section `[space]`.

    A list is a choice, a table with `low` and `high` a range, an empty table the default range,
    and anything else a fixed value.

    Raises:
        InputError: An unknown dimension, a range upside down, a value that no network can have.
    """
    names = {field.name for field in fields(Hyperparameters)}
    dimensions, fixed = [], {}
    for name, value in table.items():
        if name not in names:
            raise InputError(f"space.{name}: {_unknown(name, names)}")
        if isinstance(value, Mapping | list):
            dimensions.append(_build_dimension(name, value))
        else:
            fixed[name] = value
    space = Space(tuple(dimensions), fixed)
    _check_networks(space)
    return space


def _unknown(name: str, names: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(names), 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(names))}"
    return f"expected a hyperparameter, got {name!r}; {hint}"


def _build_dimension(name: str, value: Mapping[str, Any] | list[Any]) -> Dimension:
    default = _DEFAULTS[name]
    if isinstance(value, list):
        if not value or len(set(map(repr, value))) < len(value):
            raise InputError(f"space.{name}: expected a list of different values, got {value!r}")
        return Dimension(name, choices=tuple(value))
    if not value and isinstance(default, list):
        return Dimension(name, choices=tuple(default))
    if isinstance(default, list) and not {"low", "high"} <= value.keys():
        raise InputError(f"space.{name}: expected a list of choices, got {dict(value)!r}")
    if name in CHOICES:
        raise InputError(f"space.{name}: expected a list of words, got {dict(value)!r}")
    for key in value:
        if key not in ("low", "high", "log", "step"):
            raise InputError(f"space.{name}: expected low, high, log or step, got {key!r}")
    table = {**(default if isinstance(default, Mapping) else {}), **value}
    return _build_range(name, table)


def _build_range(name: str, table: Mapping[str, Any]) -> Dimension:
    low, high, log = table["low"], table["high"], table.get("log", False)
    step = table.get("step")
    for key, bound in (("low", low), ("high", high), ("step", step)):
        if bound is not None and not _is_number(bound):
            raise InputError(f"space.{name}.{key}: expected a number, got {bound!r}")
    if not isinstance(log, bool):
        raise InputError(f"space.{name}.log: expected true or false, got {log!r}")
    if not low < high:
        raise InputError(
            f"space.{name}: expected low below high, got low = {low} and high = {high}; "
            "exchange them, or give a single value to fix it"
        )
    if log and (low <= 0 or step is not None):
        got = f"low = {low}" if step is None else f"step = {step}"
        raise InputError(
            f"space.{name}: expected low above 0 and no step with log = true, got {got}; "
            "correct it, or set log = false"
        )
    if step is not None:
        _check_step(name, low, high, step)
    if isinstance(getattr(Hyperparameters, name), float):
        low, high = float(low), float(high)
    return Dimension(name, low=low, high=high, log=log, step=step)


def _check_step(name: str, low: float, high: float, step: float) -> None:
    whole = isinstance(getattr(Hyperparameters, name), int)
    if step <= 0 or (whole and not isinstance(step, int)):
        kind = "whole number" if whole else "number"
        raise InputError(f"space.{name}.step: expected a {kind} above 0, got {step!r}")
    # As they are written: in binary 0.5 is no multiple of 0.1.
    rest = (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step))
    if rest:
        raise InputError(
            f"space.{name}: expected whole steps from low = {low} to high = {high}, "
            f"got step = {step}; end at {Decimal(str(high)) - rest}"
        )


def _check_networks(space: Space) -> None:
    """Refuses a space that holds a network that cannot be built."""
    values = {each.name: each.extremes() for each in space.dimensions}
    values |= {name: (value,) for name, value in space.fixed.items()}
    for name in values.keys() - {"depth", "tile_size"}:
        for value in values[name]:
            _try({name: value})
    # These two have to fit each other.
    for depth in values.get("depth", (Hyperparameters.depth,)):
        for size in values.get("tile_size", (Hyperparameters.tile_size,)):
            _try({"depth": depth, "tile_size": size})


def _try(params: Mapping[str, Any]) -> None:
    try:
        Hyperparameters.from_mapping(params)
    except InputError as error:
        raise InputError(f"space.{error}") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(bound: float | int | None) -> float:
    if bound is None:
        raise ValueError("a range without a bound")
    return float(bound)
