"""Made-up tasks of mixed dimensions, on which one sampler can be held against another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import optuna

from search.curves import ParametricCurves
from search.draws import draw_normal
from search.pruners import build_pruner
from search.space import build_space

_EPOCHS = 9
_NOISE = 0.02


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Attributes:
        value: That the sampler is told; None for a trial that was pruned.
        true_value: The same without noise. The more the better.
    """

    value: float | None
    true_value: float


Objective = Callable[[optuna.Trial], Outcome]


def build_objectives(seed: int) -> Mapping[str, Callable[[], tuple[Objective, str]]]:
    """Builds, by its name, each task with the pruner that it is searched with.

    Args:
        seed: Of what is made up in a task.
    """
    return {
        "hill": lambda: (_hill, "none"),
        "many_hills": lambda: (_many_hills, "none"),
        "valley": lambda: (_valley, "none"),
        "conditional": lambda: (_conditional, "none"),
        "noisy": lambda: (lambda trial: _noisy(trial, seed), "none"),
        "curves": lambda: (_Curves(seed), "hyperband"),
    }


def build_objective_pruner(name: str) -> optuna.pruners.BasePruner:
    """Builds a pruner for tasks that report."""
    return build_pruner(name, epochs=_EPOCHS)


def _point(trial: optuna.Trial) -> list[float]:
    """Six dimensions of the kinds that a U-Net has, each from -1 to 1."""
    rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
    epsilon = trial.suggest_float("epsilon", 1e-8, 1e-2, log=True)
    dropout = trial.suggest_float("dropout", 0.0, 0.5)
    depth = trial.suggest_int("depth", 2, 6)
    loss = trial.suggest_categorical("loss", ["bce", "dice", "log_dice", "bce_dice"])
    size = trial.suggest_categorical("batch_size", [4, 8, 16])
    return [
        (math.log10(rate) + 3) / 2,
        (math.log10(epsilon) + 5) / 3,
        4 * dropout - 1,
        (depth - 4) / 2,
        {"bce": -0.4, "dice": 0.3, "log_dice": 0.8, "bce_dice": 0.1}[loss],
        {4: 0.5, 8: 0.1, 16: -0.3}[size],
    ]


def _hill(trial: optuna.Trial) -> Outcome:
    value = -math.fsum((x - 0.3) ** 2 / 2**i for i, x in enumerate(_point(trial)))
    return Outcome(value, value)


def _many_hills(trial: optuna.Trial) -> Outcome:
    """Rastrigin's function, flattened: one summit that many lower ones stand around."""
    point = _point(trial)
    value = -math.fsum(
        (x - 0.3) ** 2 + 0.1 * (1 - math.cos(3 * math.pi * (x - 0.3))) for x in point
    )
    return Outcome(value, value)


def _valley(trial: optuna.Trial) -> Outcome:
    """Rosenbrock's function on neighbouring dimensions: what suits one depends on the other."""
    point = _point(trial)
    value = -math.fsum(
        5 * (other - one**2) ** 2 + (0.5 - one) ** 2 for one, other in itertools.pairwise(point)
    )
    return Outcome(value, value)


def _conditional(trial: optuna.Trial) -> Outcome:
    value = _hill(trial).value or 0.0
    if trial.suggest_categorical("optimizer", ["adam", "sgd"]) == "sgd":
        value -= (trial.suggest_float("momentum", 0.0, 1.0) - 0.9) ** 2
    else:
        value -= 0.1 + (trial.suggest_float("beta", 0.5, 1.0) - 0.7) ** 2
    return Outcome(value, value)


def _noisy(trial: optuna.Trial, seed: int) -> Outcome:
    value = _hill(trial).true_value
    return Outcome(value + _NOISE * draw_normal("noise", seed, trial.number), value)


class _Curves:
    """Learning curves, most of which a pruner cuts short."""

    def __init__(self, seed: int) -> None:
        self._space = build_space(
            {
                "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
                "epsilon": {"low": 1e-8, "high": 1e-2, "log": True},
                "batch_size": [4, 8, 16],
                "loss": ["bce", "dice", "log_dice", "bce_dice"],
                "dropout": {"low": 0.0, "high": 0.5},
                "depth": {"low": 2, "high": 5},
            }
        )
        self._curves, self._true = (
            ParametricCurves(self._space, epochs=_EPOCHS, epoch_seconds=1.0, seed=seed, noise=noise)
            for noise in (1.0, 0.0)
        )

    def __call__(self, trial: optuna.Trial) -> Outcome:
        run = self._space.suggest(trial)
        true_value = self._true.curve(run).values[-1]
        for epoch, value in enumerate(self._curves.curve(run).values, 1):
            trial.report(value, epoch)
            if trial.should_prune() and epoch < _EPOCHS:
                return Outcome(None, true_value)
        return Outcome(value, true_value)
