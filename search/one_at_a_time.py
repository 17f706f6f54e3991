"""A baseline and changes of it, each made alone: the method of the 2019 report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from search.grid import grid_values
from search.plan import Planned
from search.space import Dimension, Space, build_space, preset_values
from trainer.conditions import matters
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.presets import PRESETS

BASELINE = "baseline"
REPORTED = "reported"
"""Of a change: numbers that somebody else has measured for it, which a table shows beside ours."""
MEASURED = (
    "training_loss",
    "validation_loss",
    "train_dice",
    "validation_dice",
    "epoch_seconds",
)
"""What is measured of a change, and can be reported of it."""
JOINT = "; "
"""Between the names of changes that come to the same run."""
_NO_VALUES = ("name", "preset", REPORTED)
_KNOWN = frozenset(each.name for each in fields(Hyperparameters))
_Table = Mapping[str, Any]


@dataclass(frozen=True)
class OneAtATime:
    """A plan of a baseline and its changes.

    Attributes:
        space: What the runs lie in: the section's own dimensions, and for each further
            hyperparameter that a change names its value in the baseline and those of the changes.
        runs: The baseline first. A change that leaves it as it is, or that is the same as an
            earlier one, is not run again: its name is added to the other's.
        defaults: The baseline.
    """

    space: Space
    runs: tuple[Planned, ...]
    defaults: Mapping[str, Any]

    @property
    def size(self) -> int:
        """How many runs there are."""
        return len(self.runs)

    def entry(self, index: int) -> Planned:
        """The run at a place of the plan."""
        return self.runs[index]


def plan_one_at_a_time(
    table: _Table, start: _Table | None, changes: Sequence[_Table], where: str = "start[0]"
) -> OneAtATime:
    """Plans the baseline and its changes.

    Args:
        table: The section `[space]`.
        start: The baseline; what it leaves out is the preset's of the section, or the middle.
        changes: Each with a `name` and values, or a `preset`, which stands for what it changes of
            the section's preset. Without any, every other choice of each dimension, and the ends
            and points of its range.
        where: Named in messages about the baseline.

    Raises:
        InputError: A change without a name of its own, of something that no run has, or to a
            value that no run can have; or what is reported of it are no numbers.
    """
    own = build_space(table)
    preset_values((start or {}).get("preset"), where)
    _check_changes(changes)
    named = [(_name(change, n), _values(change, n, table)) for n, change in enumerate(changes)]
    baseline = _baseline(own, table, start or {})
    runs = {**baseline, **own.fixed, **_named_values(start or {})}
    for index, (_, values) in enumerate(named):
        _check_run({**runs, **values}, f"change[{index}]")
    space = _with_dimensions(own, runs, [values for _, values in named])
    # What the changes alone have made a dimension is fixed no longer.
    known = {each.name: runs.get(each.name, _default(each.name)) for each in space.dimensions}
    if start:
        known |= space.start(start, where)
    for index, (_, values) in enumerate(named):
        space.check(values, f"change[{index}]")
    steps = named if changes else list(_single_changes(space, known))
    return OneAtATime(space, _joined(space, known, steps), known)


def _check_changes(changes: Sequence[_Table]) -> None:
    """Each has a name that its run can be found by, and numbers where something is reported."""
    taken = {BASELINE}
    for index, change in enumerate(changes):
        name = _name(change, index)
        if name in taken:
            raise InputError(
                f"change[{index}].name: expected another name than the baseline and the changes "
                f"before have, got {name!r}; choose another"
            )
        taken.add(name)
        _check_reported(change.get(REPORTED, {}), index)


def _name(change: _Table, index: int) -> str:
    name = change.get("name")
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"change[{index}].name: expected what the change is called, got {name!r}")
    if JOINT in name:
        raise InputError(
            f"change[{index}].name: expected a name without {JOINT!r}, which stands between the "
            f"names of changes that are the same, got {name!r}; write a comma"
        )
    return name


def _check_reported(reported: Any, index: int) -> None:
    where = f"change[{index}].{REPORTED}"
    if not isinstance(reported, Mapping):
        raise InputError(
            f"{where}: expected a table of numbers such as {{ validation_dice = 0.9 }}, "
            f"got {reported!r}"
        )
    for name, value in reported.items():
        if name not in MEASURED:
            raise InputError(f"{where}: expected some of {', '.join(MEASURED)}, got {name!r}")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise InputError(f"{where}.{name}: expected a number, got {value!r}")


def _values(change: _Table, index: int, table: _Table) -> dict[str, Any]:
    named = {key: value for key, value in change.items() if key not in _NO_VALUES}
    preset = preset_values(change.get("preset"), f"change[{index}]")
    before = PRESETS.get(table.get("preset", ""), {})
    changed = {
        name: value for name, value in preset.items() if before.get(name, _default(name)) != value
    }
    return {**changed, **named}


def _baseline(space: Space, table: _Table, start: _Table) -> dict[str, Any]:
    """A value for each of the section's dimensions, where the start does not say."""
    preset = PRESETS.get(table.get("preset", ""), {})
    known = {each.name: preset.get(each.name, each.middle()) for each in space.dimensions}
    given = start.keys() | PRESETS.get(start.get("preset", ""), {}).keys()
    for dimension in space.dimensions:
        value = known[dimension.name]
        if dimension.name not in given and not dimension.holds(value):
            raise InputError(
                f"space.{dimension.name}: expected the baseline's {value!r} (preset "
                f"{table['preset']!r}) within {dimension.to_json()}; add it, or name another "
                "baseline in [[start]]"
            )
    return known


def _named_values(start: _Table) -> dict[str, Any]:
    """What it says of a run; what no run has is refused with the rest of the start."""
    values = {**PRESETS.get(start.get("preset", ""), {}), **start}
    return {name: value for name, value in values.items() if name in _KNOWN}


def _with_dimensions(space: Space, runs: _Table, changes: Sequence[_Table]) -> Space:
    """The space with a choice for each hyperparameter that only changes name."""
    own = {each.name for each in space.dimensions}
    names = dict.fromkeys(name for values in changes for name in values if name not in own)
    added = [
        Dimension(
            name,
            choices=_choices(
                runs.get(name, _default(name)),
                [values[name] for values in changes if name in values],
            ),
        )
        for name in names
    ]
    fixed = {name: value for name, value in space.fixed.items() if name not in names}
    return Space((*space.dimensions, *added), fixed)


def _choices(baseline: Any, changed: Sequence[Any]) -> tuple[Any, ...]:
    """The values, the baseline's in the middle: its dimension's middle is the baseline."""
    others = [value for value in dict.fromkeys(changed) if value != baseline]
    half = (len(others) + 1) // 2
    return (*others[:half], baseline, *others[half:])


def _single_changes(space: Space, baseline: _Table) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each value of each dimension that matters in the baseline, and that it does not have."""
    for dimension in space.dimensions:
        if matters(dimension.name, {**space.fixed, **baseline}):
            for value in grid_values(dimension):
                if value != baseline[dimension.name]:
                    shown = f"{value:g}" if isinstance(value, float) else value
                    yield f"{dimension.name} = {shown}", {dimension.name: value}


def _joined(
    space: Space, baseline: _Table, steps: Sequence[tuple[str, Mapping[str, Any]]]
) -> tuple[Planned, ...]:
    """The runs, those that are the same joined into one."""
    names: dict[tuple[tuple[str, Any], ...], list[str]] = {}
    for name, values in [(BASELINE, {}), *steps]:
        params = _mattering(space, {**baseline, **values})
        names.setdefault(tuple(params.items()), []).append(name)
    return tuple(Planned(dict(params), JOINT.join(called)) for params, called in names.items())


def _mattering(space: Space, params: _Table) -> dict[str, Any]:
    values = {**space.fixed, **params}
    return {each.name: params[each.name] for each in space.in_order() if matters(each.name, values)}


def _check_run(values: _Table, where: str) -> None:
    try:
        Hyperparameters.from_mapping(values)
    except InputError as error:
        raise InputError(f"{where}.{error}") from None


def _default(name: str) -> Any:
    return getattr(Hyperparameters, name)
