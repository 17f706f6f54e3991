"""Pruners by the names that a config knows them under."""

from __future__ import annotations

import math
import warnings

import optuna

from search.median_pruner import MedianPruner
from search.promotion import PromotingPruner
from search.rung_pruner import Bracket, RungPruner

_PROMOTING = ("asha", "async_hyperband")
_ONE_BRACKET = ("successive_halving", "asha")
_REDUCTION = 3


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
    brackets = _brackets(name, epochs)
    if name in _PROMOTING:
        return PromotingPruner(brackets, reduction=_REDUCTION, keep=keep_paused)
    return RungPruner(brackets, reduction=_REDUCTION)


def rungs(name: str, *, epochs: int, patience: int | None = None) -> list[list[int]]:
    """The epochs after which a trial may be stopped, a list for each bracket."""
    if name == "none":
        return []
    if name == "median":
        return [list(range(1, epochs))]
    if name == "patient":
        return [list(range(_patience(epochs, patience) + 1, epochs))]
    return [_rungs_of(bracket, epochs) for bracket in _brackets(name, epochs)]


def most_paused(name: str, *, epochs: int, keep_paused: int) -> int:
    """How many stopped trials may be promoted at a time, at most."""
    if name not in _PROMOTING:
        return 0
    return keep_paused * sum(map(len, rungs(name, epochs=epochs)))


def expected_epochs(name: str, *, epochs: int) -> float:
    """Epochs that a trial trains on average, when one in three passes each rung.

    With `median` half of the trials, as if each were told from the better half after its first
    epoch; with `patient` all, since it depends on the curves what it saves.
    """
    if name in ("none", "patient"):
        return float(epochs)
    if name == "median":
        return (1 + epochs) / 2
    brackets = _brackets(name, epochs)
    total = sum(
        bracket.share * _mean_length(_rungs_of(bracket, epochs), epochs) for bracket in brackets
    )
    return total / sum(bracket.share for bracket in brackets)


def _patient(patience: int) -> optuna.pruners.BasePruner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # Optuna's waits for one epoch more than it is told.
        return optuna.pruners.PatientPruner(None, patience=patience - 1)


def _patience(epochs: int, patience: int | None) -> int:
    return max(1, epochs // 3) if patience is None else patience


def _brackets(name: str, epochs: int) -> list[Bracket]:
    return [Bracket(first=1)] if name in _ONE_BRACKET else _hyperband(epochs)


def _hyperband(epochs: int) -> list[Bracket]:
    """Brackets that begin to stop trials later and later, and take fewer and fewer of them."""
    # With the rounding of Optuna's Hyperband: of its brackets a study must not have another number.
    count = math.floor(math.log(epochs, _REDUCTION)) + 1
    return [
        Bracket(
            first=_REDUCTION**index,
            share=math.ceil(count * _REDUCTION ** (count - 1 - index) / (count - index)),
        )
        for index in range(count)
    ]


def _rungs_of(bracket: Bracket, epochs: int) -> list[int]:
    found, rung = [], bracket.first
    while rung < epochs:
        found.append(rung)
        rung *= _REDUCTION
    return found


def _mean_length(bracket: list[int], epochs: int) -> float:
    length, share, before = 0.0, 1.0, 0
    for rung in [*bracket, epochs]:
        length += share * (rung - before)
        share, before = share / _REDUCTION, rung
    return length
