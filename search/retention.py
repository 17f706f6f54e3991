"""Which checkpoints are kept: of running trials, of those that may go on, and of the best."""

from __future__ import annotations

import bisect
from collections.abc import Iterable

import optuna
from optuna.trial import TrialState

from search import lineage
from storage.checkpoints import CheckpointStore
from storage.errors import CheckpointError


class Retention:
    """Deletes the checkpoints of finished trials as soon as better ones have taken their place."""

    def __init__(self, checkpoints: CheckpointStore, *, keep: int) -> None:
        self._checkpoints = checkpoints
        self._keep = keep
        self._best: list[tuple[float, int]] = []  # (-value, number), the best first
        self._outdone: list[int] = []

    def sweep(self, study: optuna.Study, *, epochs: int, paused: Iterable[int]) -> None:
        """Finds the best of earlier runs, and deletes what a kill has left of others.

        Args:
            study: Without a RUNNING trial.
            epochs: Of a trial's full budget.
            paused: Trials that may be promoted.
        """
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        ours = [trial for trial in finished if lineage.is_candidate(trial, epochs)]
        self._best = sorted((-(trial.value or 0.0), trial.number) for trial in ours)[: self._keep]
        wanted = {number for _, number in self._best} | set(paused)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            wanted.update(lineage.forerunners(study, trial))
        self._checkpoints.tidy()
        for number in set(self._checkpoints.trials()) - wanted:
            self._delete(number)

    def finished(self, number: int, value: float) -> None:
        """Keeps a trial at full budget while it is among the best."""
        bisect.insort(self._best, (-value, number))
        self._outdone += [outdone for _, outdone in self._best[self._keep :]]
        del self._best[self._keep :]

    def ended(self, number: int) -> None:
        """Forgets a trial that nothing goes on from."""
        self._outdone.append(number)

    def tidy(self) -> None:
        """Deletes what nobody will ask for, once the ends of its trials are durable."""
        self._outdone = [number for number in self._outdone if not self._delete(number)]

    def _delete(self, number: int) -> bool:
        try:
            self._checkpoints.delete(number)
        except CheckpointError:
            # Tried again the next time: no search ends because it cannot tidy up.
            return False
        return True
