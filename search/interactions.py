"""Which dimensions act together: what their single effects do not explain."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.curves import position
from search.report_runs import Run
from search.space import Dimension

LEAST_RUNS = 12
"""Fewer runs cannot tell an effect from noise."""
_SHRINK = 1.0


@dataclass(frozen=True)
class Interaction:
    """A pair of dimensions.

    Attributes:
        names: Of both.
        strength: Share of the variance of Dice that the pair explains together, beyond what all
            dimensions explain each by itself; 0 to 1.
    """

    names: tuple[str, str]
    strength: float


def measure_interactions(runs: Sequence[Run], dimensions: Sequence[Dimension]) -> list[Interaction]:
    """Every pair of dimensions, the strongest first; none where there are too few runs.

    Dice is modelled by a ridge regression on each dimension (linear and squared on its own scale;
    a choice by an indicator of each word), and again with the products of a pair. The difference
    of the two explained variances is the pair's. Runs that were stopped count with what they had.
    """
    scored = [run for run in runs if run.last is not None and _has_all(run, dimensions)]
    if len(scored) < LEAST_RUNS or not dimensions:
        return []
    dice = np.array([run.last for run in scored], float)
    if dice.std() == 0:
        return []
    columns = {each.name: _columns(each, scored) for each in dimensions}
    single = np.concatenate(list(columns.values()), axis=1)
    # What predicts worse than the mean explains nothing, and no pair makes that good.
    alone = max(0.0, _explained(single, dice))
    pairs = itertools.combinations(columns, 2)
    found = [
        Interaction(
            (a, b), max(0.0, _explained(_joined(single, columns[a], columns[b]), dice) - alone)
        )
        for a, b in pairs
    ]
    return sorted(found, key=lambda each: -each.strength)


def _has_all(run: Run, dimensions: Sequence[Dimension]) -> bool:
    return all(each.name in run.params for each in dimensions)


def _columns(dimension: Dimension, runs: Sequence[Run]) -> np.ndarray:
    """What stands for a dimension in the regression, (run, column), each of mean 0."""
    values = [run.params[dimension.name] for run in runs]
    if dimension.choices:
        columns = np.array([[value == word for word in dimension.choices[1:]] for value in values])
    else:
        places = np.array([position(dimension, value) for value in values]) - 0.5
        columns = np.stack([places, places**2], axis=1)
    centred: np.ndarray = columns - columns.mean(axis=0)
    return centred


def _joined(single: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    products = (one[:, :, np.newaxis] * other[:, np.newaxis, :]).reshape(len(one), -1)
    return np.concatenate([single, products - products.mean(axis=0)], axis=1)


def _explained(columns: np.ndarray, dice: np.ndarray) -> float:
    """Share of the variance that leave-one-out predictions of a ridge regression explain."""
    deviation = dice - dice.mean()
    scale = columns.std(axis=0)
    columns = columns[:, scale > 0] / scale[scale > 0]
    gram = columns.T @ columns + _SHRINK * np.eye(columns.shape[1])
    solved = np.linalg.solve(gram, columns.T)  # (column, run)
    # The diagonal of the matrix that makes predictions of Dice; whole, it has a row for each run.
    own = (columns * solved.T).sum(axis=1)
    # Of a ridge regression each run's own prediction without it is known in closed form.
    left_out = (deviation - columns @ (solved @ deviation)) / np.maximum(1 - own, 1e-6)
    return float(1 - (left_out**2).mean() / deviation.var())
