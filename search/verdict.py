"""Which finalist wins: the best on average over its repeats, not the luckiest run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Score:
    """What one repeat came to.

    Attributes:
        seed: Of its weights and tiles.
        fold: Which block it was validated on; 0 is the search's own.
        dice: On that block; 0 where it diverged or did not fit into memory.
    """

    seed: int
    fold: int
    dice: float


@dataclass(frozen=True)
class Finalist:
    """A trial of the search, and what became of it when it was repeated.

    Attributes:
        number: Of the trial.
        value: Its Dice in the search. It was chosen for being the best of many, so it promises too
            much: it has no part in the mean.
        scores: Of its repeats, as far as they have ended with one.
    """

    number: int
    value: float
    scores: tuple[Score, ...]

    @property
    def mean(self) -> float | None:
        """Of the repeats' Dice; None without any."""
        return statistics.fmean(score.dice for score in self.scores) if self.scores else None

    @property
    def std(self) -> float | None:
        """The sample's standard deviation; None of fewer than two repeats."""
        if len(self.scores) < 2:
            return None
        return statistics.stdev(score.dice for score in self.scores)

    def to_json(self) -> dict[str, Any]:
        """As the study keeps it."""
        return {
            "number": self.number,
            "value": self.value,
            "mean": self.mean,
            "std": self.std,
            "n": len(self.scores),
            "scores": [asdict(score) for score in self.scores],
        }


def rank_finalists(finalists: Sequence[Finalist]) -> list[Finalist]:
    """The winner first: the best mean, and of equals the trial that came first.

    A finalist that lacks a repeat which others have comes after them: the one that is missing may
    have been the hardest.
    """

    def merit(finalist: Finalist) -> tuple[int, float, int]:
        mean = finalist.value if finalist.mean is None else finalist.mean
        return -len(finalist.scores), -mean, finalist.number

    return sorted(finalists, key=merit)
