"""What goes wrong with simulated trials, and how often."""

from __future__ import annotations

from dataclasses import dataclass

from search.assignment import Failure
from search.draws import draw_uniform
from trainer.errors import InputError


@dataclass(frozen=True)
class Mishap:
    """The end of a trial.

    Attributes:
        failure: What the coordinator is told.
        after: The share of its epoch that passes before.
    """

    failure: Failure
    after: float


@dataclass(frozen=True)
class Mishaps:
    """The share of epochs in which each sort of failure strikes.

    Attributes:
        seed: The same seed strikes the same trials in the same epochs.
        lost: The worker is lost, somewhere within the epoch.
        memory: The trial needs more memory than there is, somewhere within the epoch.
        diverged: The trial turns out to have diverged at the end of the epoch.

    Raises:
        InputError: They add up to more than every epoch.
    """

    seed: int = 0
    lost: float = 0.0
    memory: float = 0.0
    diverged: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.lost, self.memory, self.diverged)
        if not (all(share >= 0 for share in shares) and sum(shares) <= 1):
            raise InputError(
                "failures: expected shares of epochs from 0 to 1, and at most 1 together, "
                f"got {self.lost:g} lost, {self.memory:g} memory, {self.diverged:g} diverged"
            )

    def strike(self, trial: int, epoch: int) -> Mishap | None:
        """What goes wrong in this epoch of this trial, if anything does."""
        drawn = draw_uniform("mishap", self.seed, trial, epoch)
        within = draw_uniform("within", self.seed, trial, epoch)
        for share, mishap in (
            (self.lost, Mishap(Failure("lost", "the worker was lost"), within)),
            (self.memory, Mishap(Failure("memory", "the worker ran out of memory"), within)),
            (self.diverged, Mishap(Failure("diverged", "the loss became nan"), 1.0)),
        ):
            if drawn < share:
                return mishap
            drawn -= share
        return None
