"""The dimensions of a search, as data."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any

import optuna

from search.default_ranges import DEFAULT_RANGES
from search.space_checks import check_conditions, check_networks
from trainer.anisotropy import count_planar_levels
from trainer.conditions import CONDITIONS, matters
from trainer.errors import InputError
from trainer.hyperparameters import CHOICES, Hyperparameters
from trainer.presets import PRESETS

_MOST_POINTS = 100_000


@dataclass(frozen=True)
class Dimension:
    """One hyperparameter that the search varies: a range, or a list of choices."""

    name: str
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    step: float | int | None = None
    choices: tuple[Any, ...] = ()
    points: int = 3
    """Values of a range in a grid, from one end to the other."""

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

    def every(self) -> tuple[Any, ...]:
        """Every value of a choice or of whole numbers.

        Raises:
            TypeError: Of a range of real numbers there are too many.
        """
        if self.choices:
            return self.choices
        if not isinstance(self.low, int) or not isinstance(self.high, int):
            raise TypeError(f"{self.name} is no range of whole numbers")
        return tuple(range(self.low, self.high + 1, int(self.step or 1)))

    def holds(self, value: Any) -> bool:
        """Whether the sampler could have given this value."""
        if isinstance(value, bool):
            return False
        if self.choices:
            # 8.0 is equal to the choice 8, and no number of tiles.
            whole = isinstance(getattr(Hyperparameters, self.name, None), int)
            return value in self.choices and not (whole and isinstance(value, float))
        if not isinstance(value, int if isinstance(self.low, int) else int | float):
            return False
        within = _number(self.low) <= value <= _number(self.high)
        return within and math.isclose(value, self.nearest(value), abs_tol=1e-12)

    def middle(self) -> Any:
        """A value from the middle, on the dimension's own scale."""
        if self.choices:
            return self.choices[len(self.choices) // 2]
        low, high = _number(self.low), _number(self.high)
        return self.nearest(math.sqrt(low * high) if self.log else (low + high) / 2)

    def to_json(self) -> Any:
        """The dimension as a config would write it, but for its points in a grid."""
        if self.choices:
            return list(self.choices)
        table = {"low": self.low, "high": self.high, "log": self.log, "step": self.step}
        return {
            key: value for key, value in table.items() if value is not None and value is not False
        }

    def nearest(self, value: float) -> float | int:
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
        """Asks the sampler for one U-Net run, and for no value that would not matter in it."""
        values = dict(self.fixed)
        for dimension in self.in_order():
            if matters(dimension.name, values):
                values[dimension.name] = dimension.suggest(trial)
        return Hyperparameters.from_mapping(values)

    def complete(self, params: Mapping[str, Any]) -> Hyperparameters:
        """The run that a trial's parameters stand for."""
        return Hyperparameters.from_mapping({**self.fixed, **params})

    def middle(self) -> Hyperparameters:
        """A run from the middle of every dimension, to estimate costs with."""
        return self.complete({each.name: each.middle() for each in self.dimensions})

    def largest_tile(self) -> int:
        """The largest tile that a trial may have."""
        return int(max(self._values("tile_size")))

    def deepest_tile(self) -> int:
        """Most sections of a tile that a trial may have: 1 where all networks are 2D."""
        return int(max(self._values("tile_sections"))) if self._has_3d() else 1

    def for_voxels(self, voxel_size_nm: Sequence[float] | None) -> Space:
        """The space for a volume, whose voxels decide over the planar levels of 3D networks.

        What the config says of them goes before.

        Args:
            voxel_size_nm: Edges of a voxel, z, y, x, where they are known.
        """
        named = {*self.fixed, *(each.name for each in self.dimensions)}
        if voxel_size_nm is None or "planar_levels" in named or not self._has_3d():
            return self
        # Of several strides the smallest: with another one a level too many stays in the plane.
        stride = min(self._values("stem_stride"))
        z, y, x = voxel_size_nm
        levels = count_planar_levels((z, stride * y, stride * x))
        return replace(self, fixed={**self.fixed, "planar_levels": levels})

    def sees_neighbours(self) -> bool:
        """Whether any of its networks is shown more than one section at a time."""
        return self._has_3d() or self._values("section_channels") != (1,)

    def _has_3d(self) -> bool:
        return "3d" in self._values("dimensions")

    def _values(self, name: str) -> tuple[Any, ...]:
        """The values that stand for all that a run may have."""
        drawn = (each.extremes() for each in self.dimensions if each.name == name)
        return next(drawn, (self.fixed.get(name, getattr(Hyperparameters, name)),))

    def to_json(self) -> dict[str, Any]:
        """The space as a config would write it, every fixed value included."""
        return {each.name: each.to_json() for each in self.dimensions} | dict(self.fixed)

    def in_order(self) -> list[Dimension]:
        """Every dimension after those that decide whether it matters."""
        # Fields of Hyperparameters stand behind those that they depend on.
        names = list(CONDITIONS)
        return sorted(
            self.dimensions,
            key=lambda each: names.index(each.name) if each.name in CONDITIONS else -1,
        )

    def start(self, table: Mapping[str, Any], where: str) -> dict[str, Any]:
        """The values that a known run has in the dimensions of the space.

        Args:
            table: Values by name, or a `preset` with other values beside it.
            where: Named in messages.

        Raises:
            InputError: The space does not hold the run.
        """
        named = {name: value for name, value in table.items() if name != "preset"}
        dimensions = {each.name for each in self.dimensions}
        preset = {
            name: value
            for name, value in preset_values(table.get("preset"), where).items()
            if name not in named and self._needs(name, value, dimensions, where)
        }
        params = {**preset, **named}
        self.check(params, where)
        return params

    def _needs(self, name: str, value: Any, dimensions: set[str], where: str) -> bool:
        """Whether a preset's value is a dimension's; refuses one that the space has fixed."""
        if name in dimensions:
            return True
        fixed = self.fixed.get(name, getattr(Hyperparameters, name))
        if fixed != value:
            raise InputError(
                f"{where}.preset: expected a space with {name} = {value!r}, it is fixed to "
                f"{fixed!r}; make it a dimension, or name another start"
            )
        return False

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
    and anything else a fixed value. `preset` fixes what nothing else names.

    Raises:
        InputError: An unknown dimension, a range upside down, a value that no network can have.
    """
    names = {field.name for field in fields(Hyperparameters)}
    dimensions, fixed = [], dict(preset_values(table.get("preset"), "space"))
    for name, value in table.items():
        if name == "preset":
            continue
        fixed.pop(name, None)
        if name not in names:
            raise InputError(f"space.{name}: {_unknown(name, names)}")
        if isinstance(value, Mapping | list):
            dimensions.append(_build_dimension(name, value))
        else:
            fixed[name] = value
    space = Space(tuple(dimensions), fixed)
    check_networks(space)
    check_conditions(space)
    return space


def preset_values(name: Any, where: str) -> Mapping[str, Any]:
    """The values of a preset, or none where none is named.

    Raises:
        InputError: There is no preset of that name.
    """
    if name is None:
        return {}
    if not isinstance(name, str) or name not in PRESETS:
        raise InputError(f"{where}.preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]


def _unknown(name: str, names: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(names), 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(names))}"
    return f"expected a hyperparameter, got {name!r}; {hint}"


def _build_dimension(name: str, value: Mapping[str, Any] | list[Any]) -> Dimension:
    default = DEFAULT_RANGES[name]
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
        if key not in ("low", "high", "log", "step", "points"):
            raise InputError(f"space.{name}: expected low, high, log, step or points, got {key!r}")
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
    points = table.get("points", Dimension.points)
    if type(points) is not int or not 2 <= points <= _MOST_POINTS:
        raise InputError(
            f"space.{name}.points: expected a whole number from 2 to {_MOST_POINTS}, got {points!r}"
        )
    if isinstance(getattr(Hyperparameters, name), float):
        low, high = float(low), float(high)
    return Dimension(name, low=low, high=high, log=log, step=step, points=points)


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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(bound: float | int | None) -> float:
    if bound is None:
        raise ValueError("a range without a bound")
    return float(bound)
