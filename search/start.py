"""The trials that a search begins with, before its sampler is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from search.space import Space
from trainer.conditions import matters
from trainer.earlier_model import EarlierModel
from trainer.errors import InputError
from trainer.hyperparameters import NETWORK_FIELDS, Hyperparameters

FROM = "from"
"""The key of a table that goes on from an earlier model."""
Tables = Mapping[str, Mapping[str, Any]]
"""Of `[[start]]`, by their places in the config."""


def check_starts(space: Space, tables: Tables) -> None:
    """Refuses what a space cannot begin with, as far as the config alone tells.

    Args:
        space: Of the search.
        tables: Each by its place, as `start[0]`.

    Raises:
        InputError: Which table, and why.
    """
    for where, table in tables.items():
        if FROM not in table:
            space.start(table, where)
            continue
        if not isinstance(table[FROM], str) or not table[FROM]:
            raise InputError(f"{where}.from: expected a model folder, got {table[FROM]!r}")
        if "preset" in table:
            raise InputError(
                f"{where}.preset: expected from or preset, got both; begin with two tables"
            )
        space.check(_beside(table), where)
    naming = [where for where, table in tables.items() if FROM in table]
    if len(naming) > 1:
        raise InputError(
            f"{naming[1]}.from: expected one model to go on from, got a second one; "
            "name its values in a table without from"
        )


def find_earlier_model(tables: Tables) -> EarlierModel | None:
    """Reads the card of the model that a search goes on from, where its config names one.

    Raises:
        InputError: It is no model folder.
    """
    for where, table in tables.items():
        if FROM in table:
            try:
                return EarlierModel.read(Path(table[FROM]).absolute())
            except InputError as error:
                raise InputError(f"{where}.from: {error}") from None
    return None


def start_values(
    space: Space, tables: Tables, earlier: EarlierModel | None
) -> list[dict[str, Any]]:
    """The values of the first trials, those of the earlier model before all others.

    Args:
        space: Of the search, for its data.
        tables: Each by its place, as `start[0]`.
        earlier: That one of them names; without it that table's own values are taken alone.

    Raises:
        InputError: The space does not hold the model's run.
    """
    values = []
    for where, table in tables.items():
        if FROM not in table:
            values.append(space.start(table, where))
        elif earlier is not None:
            values.insert(0, _values_of(earlier, space, _beside(table), where))
        else:
            values.append(_beside(table))
    return values


def _values_of(
    earlier: EarlierModel, space: Space, beside: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """The model's values in the dimensions of the space, but for those that the config names."""
    known = earlier.hyperparameters.to_mapping()
    dimensions = [each.name for each in space.dimensions]
    _check_fixed(known, space, dimensions, where)
    run = {**known, **space.fixed, **beside}
    params = {name: run[name] for name in dimensions if matters(name, run)}
    space.check(params, f"{where}.from")
    _check_network(earlier, space.complete(params), where)
    return params


def _check_fixed(
    known: Mapping[str, Any], space: Space, dimensions: Sequence[str], where: str
) -> None:
    """Refuses values of the model that the space leaves at others without a word."""
    run = {**known, **space.fixed}
    unsaid = [
        each
        for each in fields(Hyperparameters)
        if each.name not in {*dimensions, *space.fixed, *NETWORK_FIELDS}
        and known[each.name] != each.default
        and matters(each.name, run)
    ]
    if unsaid:
        model = ", ".join(f"{each.name} = {known[each.name]!r}" for each in unsaid)
        here = ", ".join(repr(each.default) for each in unsaid)
        raise InputError(
            f"{where}.from: expected [space] to name {model}, as the model has it, and not to "
            f"leave it at {here}; write this or another value there"
        )


def _check_network(earlier: EarlierModel, run: Hyperparameters, where: str) -> None:
    """Refuses a first trial that could not begin with the model's weights."""
    if earlier.fits(run):
        return
    model = earlier.hyperparameters
    differing = [name for name in NETWORK_FIELDS if getattr(model, name) != getattr(run, name)]
    wanted = ", ".join(f"{name} = {getattr(model, name)!r}" for name in differing)
    got = ", ".join(repr(getattr(run, name)) for name in differing)
    raise InputError(
        f"{where}.from: expected the network of the model, {wanted}, got {got}; make it so in "
        "[space] and in this table, or name another model"
    )


def _beside(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name != FROM}
