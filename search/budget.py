"""What a search may cost, and what it has cost so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Limits of a whole study; the one that is reached first ends the search.

    Attributes:
        trials: Trials begun. Those that go on from another one do not count.
        epochs: Epochs trained, by all trials together.
        hours: Hours of the search, restarts added up.
    """

    trials: int | None = None
    epochs: int | None = None
    hours: float | None = None

    def spent_by(self, spent: Spent) -> str | None:
        """Names the limit that ends every trial, or None while there is something left."""
        if self.epochs is not None and spent.epochs >= self.epochs:
            return f"the budget of {self.epochs} epochs is spent"
        if self.hours is not None and spent.seconds >= self.hours * 3600:
            return f"the budget of {self.hours:g} hours is spent"
        return None

    def allows_another(self, spent: Spent) -> bool:
        """Whether one more trial may begin."""
        return self.trials is None or spent.trials < self.trials


@dataclass
class Spent:
    """What a study has cost so far, earlier runs of it included."""

    trials: int = 0
    epochs: int = 0
    seconds: float = 0.0
