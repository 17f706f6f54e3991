"""Trials that train nothing: the space, the learning curve and what stands in for a network."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from search.assignment import Assignment, Begun, EpochReport, Task
from search.space import build_space
from search.study_volume import StudyVolume
from trainer.split import split_sections
from trainer.volume import Volume

EPOCHS = 9
SLOTS = 2
SPACE = build_space(
    {
        "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
        "beta_1": {"low": 0.8, "high": 0.99},
        "dropout": {"low": 0.0, "high": 0.5},
        "depth": {"low": 3, "high": 5},
        "batch_size": [2, 4, 8, 16],
        "loss": ["bce", "dice", "bce_dice"],
    }
)
"""Six dimensions, the same for everyone who is measured."""


def draw(trial: optuna.Trial) -> dict[str, Any]:
    """Asks for a value of every dimension."""
    return {dimension.name: dimension.suggest(trial) for dimension in SPACE.dimensions}


def score(dropout: float, beta_1: float, epoch: int, epochs: int = EPOCHS) -> float:
    """The Dice after an epoch.

    Up to the last epoch it is the same for every trial, so that no pruner stops one before all
    of its reports are made, however differently the pruners decide.
    """
    return epoch / (2 * epochs) if epoch < epochs else 1 - abs(dropout - 0.2) - abs(beta_1 - 0.9)


class NoopRunner:
    """Reports epochs of no length, with as many facts as a real one."""

    epoch_seconds = 0.0

    def __init__(self, task: Task) -> None:
        self._history: tuple[float, ...] = ()
        self._began: float | None = None
        self._trained = 0.0

    def begin(self, assignment: Assignment) -> Begun:
        """Takes a trial."""
        self._assignment = assignment
        self._history = ()
        self._began = None
        self._trained = 0.0
        return Begun(None)

    def advance(self) -> EpochReport:
        """Reports the next epoch."""
        start = time.time()
        self._began = self._began or start
        time.sleep(self.epoch_seconds)
        epoch, values = len(self._history) + 1, self._assignment.hyperparameters
        value = score(values.dropout, values.beta_1, epoch, self._assignment.epochs)
        self._history = (*self._history, value)
        end = time.time()
        self._trained += end - start
        facts = {
            "loss": 1 - value,
            "threshold": 0.5,
            "precision": value,
            "recall": value,
            "began": self._began,
            "ended": end,
            "trained_seconds": self._trained,
        }
        return EpochReport(epoch, value, self._history, facts)

    def close(self) -> None:
        """Does nothing: there is no network."""


class SecondRunner(NoopRunner):
    """Reports epochs of one second."""

    epoch_seconds = 1.0


def build_task(folder: Path) -> Task:
    """What the workers of a coordinator are given: a volume too small to count."""
    raw = np.zeros((20, 8, 8), np.uint8)
    return Task((StudyVolume(Volume(raw, raw, None, ()), split_sections(20, gap=1)),), folder, 1)
