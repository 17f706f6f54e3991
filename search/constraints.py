"""Limits that the user sets for a network, beyond which a trial is infeasible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import optuna

from trainer.footprint import count_weights
from trainer.hyperparameters import Hyperparameters

_TIMES = ("epoch_seconds", "prediction_seconds_per_megavoxel")


@dataclass(frozen=True)
class Constraints:
    """The most that a run may have.

    Attributes:
        parameters: Weights that training changes.
        epoch_seconds: Of an epoch, training and validation.
        prediction_seconds_per_megavoxel: As the validation sections are predicted.
    """

    parameters: int | None = None
    epoch_seconds: float | None = None
    prediction_seconds_per_megavoxel: float | None = None

    def before(self, hyperparameters: Hyperparameters) -> dict[str, float]:
        """What is known of a run before anything is built, as `excesses`."""
        return self.excesses({"parameters": count_weights(hyperparameters)})

    def excesses(self, facts: Mapping[str, Any]) -> dict[str, float]:
        """By how much each fact that has a limit lies above it, as a share of the limit.

        Below 0 where the limit is kept: these are constraints as Optuna takes them.
        """
        limits = self._limits().items()
        return {name: facts[name] / limit - 1 for name, limit in limits if name in facts}

    def limits_time(self) -> bool:
        """Whether there is a limit that only training shows to be kept."""
        return any(name in _TIMES for name in self._limits())

    def are_known(self, excesses: Mapping[str, float]) -> bool:
        """Whether each limit is known to be kept or broken."""
        return self._limits().keys() <= excesses.keys()

    def describe_broken(self, excesses: Mapping[str, float]) -> str | None:
        """Why a trial is infeasible, in one line; None where it keeps to every limit."""
        parts = [
            f"{name} = {getattr(self, name) * (1 + excess):.6g}, at most {getattr(self, name):.6g}"
            for name, excess in excesses.items()
            if excess > 0
        ]
        return f"beyond [constraints]: {'; '.join(parts)}" if parts else None

    def _limits(self) -> dict[str, float]:
        return {name: limit for name, limit in asdict(self).items() if limit is not None}


class ConstraintWatch:
    """Holds running trials to the constraints, epoch by epoch."""

    def __init__(self, constraints: Constraints) -> None:
        """Watches nothing yet.

        Args:
            constraints: Of the study.
        """
        self._constraints = constraints
        self._inherited: dict[int, int] = {}
        self._quickest: dict[int, dict[str, float]] = {}

    def inherit(self, number: int, epoch: int) -> None:
        """A trial goes on elsewhere after an epoch: its next one is the first on a worker."""
        self._inherited[number] = epoch

    def take(
        self, number: int, epoch: int, facts: Mapping[str, Any], *, last: bool
    ) -> dict[str, float]:
        """What is known of a trial after an epoch, as constraints for Optuna.

        A time is the quickest of those that the trial took, and known after the second epoch on
        its worker: in the first the network is compiled as well.

        Args:
            number: Of the trial.
            epoch: That was trained, or inherited.
            facts: Of the epoch.
            last: Whether there is no other epoch to come, so that what there is has to do.

        Returns:
            By name the excess, as a share of the limit: above 0 where it is broken.
        """
        quickest = self._quickest.setdefault(number, {})
        for name in _TIMES:
            if name in facts:
                quickest[name] = min(facts[name], quickest.get(name, facts[name]))
        size = {name: value for name, value in facts.items() if name == "parameters"}
        steady = epoch - self._inherited.get(number, 0) > 1
        return self._constraints.excesses({**size, **(quickest if steady or last else {})})

    def forget(self, number: int) -> None:
        """The trial has ended, or goes on elsewhere."""
        self._inherited.pop(number, None)
        self._quickest.pop(number, None)


def set_constraints(trial: optuna.Trial, excesses: Mapping[str, float]) -> None:
    """Tells the sampler by how much a trial keeps to each limit, or breaks it."""
    for name, excess in excesses.items():
        trial.set_constraint(name, excess)
