"""What a search would do and cost, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_HOURS_OF_A_DAY, _HOURS_OF_A_YEAR = 24, 8766
_LARGE = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))
_UNREADABLE = 1e15
_WAYS = {
    "search": "this search",
    "grid": "a full grid",
    "one_at_a_time": "one change at a time",
}


def describe_check(facts: Mapping[str, Any]) -> Iterator[str]:
    """Lines of what `check --json` prints."""
    device = facts["device"]
    rungs = "; ".join(_epochs(bracket) or "none" for bracket in facts["rungs"])
    yield from facts["notes"]
    yield f"database: {facts['database']}"
    yield f"device: {device['name']}, {device['precision']}, {device['slots']} trials at a time"
    yield from map(_node, facts["nodes"] or ())
    yield (
        f"rungs: after epoch {rungs}"
        if any(facts["rungs"])
        else "rungs: none, every trial runs to its end"
    )
    yield from map(_network, facts["networks"])
    yield from _rehearsal(facts["rehearsal"])
    yield from _parts(facts)
    yield from (_price(name, row) for name, row in facts["price"].items())
    yield f"disk: about {facts['disk_bytes'] / 1e6:,.0f} MB of checkpoints"


def show_hours(value: float | None) -> str:
    """Hours as a person says them, in minutes, hours, days or years."""
    return "an unknown time" if value is None else " ".join(_hours(value))


def _hours(value: float) -> tuple[str, str]:
    """The number, and its unit."""
    if value < 2:
        minutes = f"{value * 60:.0f}" if value * 60 >= 1.5 or not value else "1"
        return minutes, "minute" if minutes == "1" else "minutes"
    if value < 4 * _HOURS_OF_A_DAY:
        return f"{value:.1f}", "hours"
    if value < 2 * _HOURS_OF_A_YEAR:
        return f"{value / _HOURS_OF_A_DAY:,.0f}", "days"
    return _number(round(value / _HOURS_OF_A_YEAR)), "years"


def _number(value: float) -> str:
    """A count as it is, an amount with two digits behind the point, and a large one in words."""
    if value >= _UNREADABLE:
        return f"{value:.1e}"
    for size, word in _LARGE:
        if value >= size:
            return f"{value / size:,.2f} {word}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _rehearsal(rehearsal: Mapping[str, Any] | None) -> Iterator[str]:
    if rehearsal:
        each = rehearsal["epochs_of_a_trial"]
        yield (
            f"a trial trains about {rehearsal['mean_epochs_of_a_trial']:.1f} of its "
            f"{rehearsal['full_epochs']} epochs ({min(each):.1f} to {max(each):.1f} in "
            f"{rehearsal['searches']} simulated searches of {rehearsal['trials']} trials, with "
            "made-up learning curves)"
        )


def _parts(facts: Mapping[str, Any]) -> Iterator[str]:
    """The search, what follows it, and all together."""
    parts, repeats = facts["parts"], facts["finalists"]["repeats"]
    most = show_hours(facts["hours"]["search_at_most"])
    yield f"search: {_time(parts['search'])}, at most {most}"
    if repeats:
        yield (
            f"finalists: {repeats} trials at full length, beside the budget: "
            f"{_time(parts['finalists'])}{_cost(parts['finalists'])}"
        )
    final = any(parts["final"]["hours"])
    if final:
        yield f"final training: {_time(parts['final'])}{_cost(parts['final'])}"
    if repeats or final:
        yield f"in all: {_time(parts['in_all'])}{_cost(parts['in_all'])}"


def _time(part: Mapping[str, Any]) -> str:
    (low, unit), (high, larger) = map(_hours, part["hours"])
    if (low, unit) == (high, larger):
        return f"about {low} {unit}"
    return f"between {low}{'' if unit == larger else f' {unit}'} and {high} {larger}"


def _cost(part: Mapping[str, Any]) -> str:
    money = "" if part["money"] is None else f" for {_span(part['money'])} in money"
    return f"; {_span(part['device_hours'])} device hours{money}"


def _span(ends: Sequence[float]) -> str:
    low, high = map(_number, ends)
    return low if low == high else f"{low} to {high}"


def _epochs(bracket: Sequence[int]) -> str:
    if len(bracket) > 2 and list(bracket) == list(range(bracket[0], bracket[-1] + 1)):
        return f"{bracket[0]} and every one to {bracket[-1]}"
    return ", ".join(map(str, bracket))


def _network(timing: Mapping[str, Any]) -> str:
    size = f"an epoch of the {timing['network']} network ({timing['parameters']:,} parameters)"
    if timing["epoch_seconds"] is None:
        return f"{size}: does not fit into memory ({timing['reason']})"
    return f"{size}: {timing['epoch_seconds']:.1f} s"


def _price(name: str, row: Mapping[str, Any]) -> str:
    trials = "" if row["trials"] is None else f"{_number(row['trials'])} trials, "
    money = "" if row["money"] is None else f" for {_number(row['money'])} in money"
    return (
        f"price of {_WAYS[name]}: {trials}about {show_hours(row['hours'])}, "
        f"{_number(row['device_hours'])} device hours{money}"
    )


def _node(node: Mapping[str, Any]) -> str:
    return (
        f"node {node['address']}: {node['cpus']:g} CPUs, {node['gpus']:g} GPUs; same versions, "
        "same data, same runs folder"
    )
