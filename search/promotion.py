"""Trials that were stopped at a rung, and go on once they turn out to be among the best."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from search import lineage
from search.rung_pruner import Bracket, RungPruner


class PromotingPruner(RungPruner):
    """Asynchronous successive halving as published (Li et al. 2018, arXiv 1810.05934).

    There every trial stops at every rung, and is promoted when a worker is free and it is in the
    top 1/reduction of its rung. A trial that is there when it arrives goes on at once here, without
    the cost of a stop; so does one that is just below it (`Rung.keeps_up`).
    """

    def __init__(self, brackets: Sequence[Bracket], *, reduction: int, keep: int) -> None:
        """Prepares a pruner for one study.

        Args:
            brackets: At least one.
            reduction: One trial in so many passes a rung.
            keep: How many stopped trials of each rung may still be promoted, the best ones.
        """
        super().__init__(brackets, reduction=reduction)
        self._keep = keep

    def read(self, study: optuna.Study) -> None:
        """Reads anew what was recorded; nothing is paused."""
        self._storage = None
        self._load_once(study)

    def pause(self, study: optuna.Study, trial: FrozenTrial) -> int | None:
        """Takes a trial that was stopped at the last rung that it has a value of.

        Returns:
            The number of the trial that can no more be promoted, where there are too many.
        """
        self._load_once(study)
        index = self._bracket_of(study, trial)
        reached = self._rungs_reached(trial, index)
        if reached == 0:
            # Another pruner stopped it, before this one's first rung.
            return trial.number
        rung = self._rungs[index, reached - 1]
        return rung.pause(lineage.origin(trial), trial.number, keep=self._keep)

    def paused(self) -> list[int]:
        """The trials that may be promoted, now or when more trials have come to their rung."""
        return [number for rung in self._rungs.values() for number in rung.paused()]

    def has_promotable(self) -> bool:
        """Whether there is one to promote now."""
        return any(rung.promotable() is not None for rung in self._rungs.values())

    def promote(self) -> int | None:
        """Gives up the best of the highest rung that has one to promote; returns its number."""
        found = [
            (-self._epoch(*place), *promotable, rung)
            for place, rung in self._rungs.items()
            if (promotable := rung.promotable()) is not None
        ]
        # No two of them are the same trial: rungs are never compared.
        return min(found)[-1].promote() if found else None

    def _passes(
        self, study: optuna.Study, trial: FrozenTrial, index: int, rung: int, value: float
    ) -> bool:
        loss = self._record(study, trial, index, rung, value)
        # It was promoted from there, whatever has come since.
        promoted = self._epoch(index, rung) <= lineage.promoted_after(trial)
        return promoted or self._rungs[index, rung].keeps_up(loss)


class Promotions:
    """The paused trials of a study; there are none where its pruner stops trials for good."""

    def __init__(self, study: optuna.Study) -> None:
        """Knows of no paused trial yet.

        Args:
            study: With its pruner.
        """
        self._study = study
        self._pruner = study.pruner if isinstance(study.pruner, PromotingPruner) else None

    def load(self, checkpointed: Container[int]) -> None:
        """Finds what earlier runs of the study have paused.

        Args:
            checkpointed: Trials that have a checkpoint; another one has nothing to go on from.
        """
        if self._pruner is None:
            return
        self._pruner.read(self._study)
        trials = self._study.get_trials(deepcopy=False)
        promoted = lineage.promoted(trials)
        for trial in trials:
            paused = trial.state is TrialState.PRUNED and lineage.PAUSED in trial.user_attrs
            if paused and trial.number not in promoted and trial.number in checkpointed:
                self._pruner.pause(self._study, trial)

    def can_pause(self, value: float) -> bool:
        """Whether a trial that the pruner stops at this value may ever be promoted."""
        return self._pruner is not None and not math.isnan(value)

    def pause(self, trial: FrozenTrial) -> int | None:
        """Takes a trial that was told PRUNED; returns one that nothing goes on from any more."""
        return self._pruner.pause(self._study, trial) if self._pruner else None

    def paused(self) -> list[int]:
        """The numbers of the trials that may be promoted."""
        return self._pruner.paused() if self._pruner else []

    def has_next(self) -> bool:
        """Whether there is a trial to promote now."""
        return self._pruner is not None and self._pruner.has_promotable()

    def enqueue_next(self) -> bool:
        """Enqueues what goes on from the trial to promote, and tells whether there is one."""
        number = self._pruner.promote() if self._pruner else None
        if number is None:
            return False
        lineage.enqueue_promotion(self._study, number)
        return True
