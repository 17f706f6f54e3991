"""Pruners by the names that a config knows them under."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from itertools import count, takewhile

import optuna

from search.median_pruner import MedianPruner
from search.promotion import PromotingPruner
from search.rung_pruner import Bracket, RungPruner

_PROMOTING = ("asha", "async_hyperband")
_ONE_BRACKET = ("successive_halving", "asha")
_HALVING, _HYPERBAND = 2, 3
"""One trial in so many passes a rung."""


def build_pruner(
    name: str, *, epochs: int, patience: int | None = None, keep_paused: int = 10
) -> optuna.pruners.BasePruner:
    """Builds the pruner of a study whose trials have `epochs` epochs at full budget.

    Args:
        name: As `[study]` of a config knows it. `asha` and `async_hyperband` may promote trials
            later that they have stopped, `asha` in one bracket.
        epochs: Of the full budget.
        patience: Epochs without a new best after which `patient` stops a trial; by default a
            third of all.
        keep_paused: How many stopped trials of each rung may still be promoted, the best ones.
    """
    if name == "none":
        return optuna.pruners.NopPruner()
    if name == "median":
        return MedianPruner(epochs=epochs)
    if name == "patient":
        return _patient(_patience(epochs, patience))
    brackets, reduction = _brackets(name, epochs), _reduction(name)
    if name in _PROMOTING:
        return PromotingPruner(brackets, reduction=reduction, keep=keep_paused)
    return RungPruner(brackets, reduction=reduction)


def rungs(name: str, *, epochs: int, patience: int | None = None) -> list[list[int]]:
    """The epochs after which a trial may be stopped, a list for each bracket."""
    if name == "none":
        return []
    if name == "median":
        return [list(range(1, epochs))]
    if name == "patient":
        return [list(range(_patience(epochs, patience) + 1, epochs))]
    return [list(bracket.rungs) for bracket in _brackets(name, epochs)]


def most_paused(name: str, *, epochs: int, keep_paused: int) -> int:
    """How many stopped trials may be promoted at a time, at most."""
    if name not in _PROMOTING:
        return 0
    return keep_paused * sum(map(len, rungs(name, epochs=epochs)))


def expected_epochs(name: str, *, epochs: int) -> float:
    """Epochs that a trial trains on average, when no more pass each rung than have to.

    With `median` half of the trials, as if each were told from the better half after its first
    epoch; with `patient` all, since it depends on the curves what it saves.
    """
    if name in ("none", "patient"):
        return float(epochs)
    if name == "median":
        return (1 + epochs) / 2
    brackets, reduction = _brackets(name, epochs), _reduction(name)
    total = sum(
        bracket.share * _mean_length(bracket.rungs, epochs, reduction) for bracket in brackets
    )
    return total / sum(bracket.share for bracket in brackets)


def _patient(patience: int) -> optuna.pruners.BasePruner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # Optuna's waits for one epoch more than it is told.
        return optuna.pruners.PatientPruner(None, patience=patience - 1)


def _patience(epochs: int, patience: int | None) -> int:
    return max(1, epochs // 3) if patience is None else patience


def _reduction(name: str) -> int:
    return _HALVING if name in _ONE_BRACKET else _HYPERBAND


def _brackets(name: str, epochs: int) -> list[Bracket]:
    rungs = _all_rungs(epochs, _reduction(name))
    if name in _ONE_BRACKET:
        return [Bracket(rungs)]
    # Hyperband's begin to stop trials later and later, and take fewer and fewer of them.
    most = len(rungs) + 1
    return [
        Bracket(
            rungs[index:],
            share=math.ceil(most * _HYPERBAND ** (most - 1 - index) / (most - index)),
        )
        for index in range(most)
    ]


def _all_rungs(epochs: int, reduction: int) -> tuple[int, ...]:
    """Whole epochs of the budget divided by the reduction, again and again, as published.

    With each rung that it passes a trial is worth `reduction` times as many epochs, the last one
    included: a rung near the end saves next to nothing, and one bad epoch there costs a trial that
    has been paid for.
    """
    parts = takewhile(lambda part: part <= epochs, (reduction**power for power in count(1)))
    return tuple(sorted(epochs // part for part in parts))


def _mean_length(rungs: Sequence[int], epochs: int, reduction: int) -> float:
    length, share, before = 0.0, 1.0, 0
    for rung in [*rungs, epochs]:
        length += share * (rung - before)
        share, before = share / reduction, rung
    return length
