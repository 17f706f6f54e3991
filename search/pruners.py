"""Pruners by the names that a config knows them under."""

from __future__ import annotations

import copy
import math

import optuna

from search import lineage

PRUNERS = ("hyperband", "none")
_REDUCTION = 3
_NO_BRACKET = -1


def build_pruner(name: str, *, epochs: int) -> optuna.pruners.BasePruner:
    """Builds the pruner of a study whose trials have `epochs` epochs at full budget."""
    if name == "none":
        return optuna.pruners.NopPruner()
    return _LineHyperband(min_resource=1, max_resource=epochs, reduction_factor=_REDUCTION)


class _LineHyperband(optuna.pruners.HyperbandPruner):
    """Hyperband that takes a trial and those that go on from it for one.

    Optuna's draws the bracket from the trial's number, and would judge by the forerunner as well.
    """

    def _get_bracket_id(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> int:
        if trial.user_attrs.get(lineage.GOES_ON):
            return _NO_BRACKET
        first = copy.copy(trial)
        first.number = lineage.origin(trial)
        return super()._get_bracket_id(study, first)


def rungs(name: str, *, epochs: int) -> list[list[int]]:
    """The epochs after which a trial may be stopped, a list for each bracket."""
    if name == "none":
        return []
    brackets = []
    first = 1
    while first <= epochs:
        bracket, rung = [], first
        while rung < epochs:
            bracket.append(rung)
            rung *= _REDUCTION
        brackets.append(bracket)
        first *= _REDUCTION
    return brackets


def expected_epochs(name: str, *, epochs: int) -> float:
    """Epochs that a trial trains on average, when one in three passes each rung.

    Brackets are weighed as Optuna's Hyperband fills them.
    """
    brackets = rungs(name, epochs=epochs)
    if not brackets:
        return float(epochs)
    lengths = [_mean_length(bracket, epochs) for bracket in brackets]
    last = len(brackets) - 1
    weights = [
        math.ceil(len(brackets) * _REDUCTION ** (last - index) / (last - index + 1))
        for index in range(len(brackets))
    ]
    total = sum(weight * length for weight, length in zip(weights, lengths, strict=True))
    return float(total / sum(weights))


def _mean_length(bracket: list[int], epochs: int) -> float:
    length, share, before = 0.0, 1.0, 0
    for rung in [*bracket, epochs]:
        length += share * (rung - before)
        share, before = share / _REDUCTION, rung
    return length
