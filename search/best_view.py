"""The best trials of a study and its model, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from search.results import describe_repeats
from search.runner import COLLAPSED_TO, DICE_BY_VOLUME
from search.shown_value import show_value
from trainer.errors import InputError
from trainer.model import load_card


def describe_best(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines of what `best --json` prints."""
    if not rows:
        yield "no trial has reached its full budget yet"
    for row in rows:
        yield from _describe(row)
    front = rows[0]["front"] if rows else None
    if front is not None and front > len(rows):
        yield (
            f"{len(rows)} of {front}: the Pareto front, with the winner where there is one; "
            f"`--top {front}` shows all"
        )


def describe_model(folder: Path) -> list[str]:
    """What the card says of the model itself: its score, and what follows the network."""
    try:
        return _describe_card(load_card(folder))
    except InputError:
        # Whoever uses the model is told what is wrong with its card.
        return []


def describe_collapse(attributes: Mapping[str, Any]) -> str:
    """That a trial found only one class, where it did."""
    collapsed = attributes.get(COLLAPSED_TO)
    return f"all {collapsed}" if collapsed else ""


def _describe(row: Mapping[str, Any]) -> Iterator[str]:
    # Of two objectives the second; the first is the Dice.
    others = "".join(f", {value:,.6g}" for value in row["values"][1:])
    collapsed = describe_collapse(row["user_attrs"])
    nothing = f", {collapsed}" if collapsed else ""
    repeats = f", repeated {describe_repeats(row['repeats'])}" if row["repeats"] else ""
    model = f"  model: {row['model']}" if row["model"] else ""
    yield f"trial {row['number']}: Dice {row['value']:.4f}{others}{nothing}{repeats}{model}"
    if each := row["user_attrs"].get(DICE_BY_VOLUME):
        yield f"    Dice of each volume: {_by_volume(each)}"
    if row["model"]:
        yield from (f"    {line}" for line in _describe_card(row))
    yield "    " + ", ".join(f"{name} = {show_value(it)}" for name, it in row["params"].items())


def _describe_card(card: Mapping[str, Any]) -> list[str]:
    """The same of a card, or of a row that has these of its keys."""
    try:
        return list(_lines_of(card))
    except (LookupError, TypeError, ValueError):
        # Cards of older versions lack some of it.
        return []


def _lines_of(card: Mapping[str, Any]) -> Iterator[str]:
    scores = card["validation"]
    yield (
        f"the model: Dice {scores['dice']:.4f} at threshold {card['threshold']:.2f}: {scores['of']}"
    )
    yield f"what follows the network: {_describe_postprocessing(card['postprocessing'])}"
    if each := scores.get("by_volume"):
        dice = {name: own["dice"] for name, own in each.items()}
        yield f"the model's Dice of each volume: {_by_volume(dice)}"


def _describe_postprocessing(after: Mapping[str, Any]) -> str:
    windows, views, median = after.get("windows"), after["views"], after["z_median_sections"]
    # Cards of older versions have none.
    smallest = after.get("smallest_object_voxels", 0)
    seen = "whole sections"
    if windows:
        seen = "windows of {size} x {size} that overlap by {overlap:.0%}".format(**windows)
    return ", ".join(
        (
            seen,
            f"the mean over {views} views" if views > 1 else "one view",
            f"a median over {median} sections along z" if median > 1 else "no median along z",
            f"no objects below {smallest:,} voxels" if smallest > 1 else "objects of every size",
        )
    )


def _by_volume(dice: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in dice.items())
