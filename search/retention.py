"""Which checkpoints are kept: of running trials, of those that may go on, and of the best."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence

import optuna
from optuna.trial import TrialState

from search import lineage
from search.objectives import pareto_front
from storage.checkpoints import CheckpointStore
from storage.errors import CheckpointError


class Retention:
    """Deletes the checkpoints of finished trials as soon as better ones have taken their place."""

    def __init__(self, checkpoints: CheckpointStore, *, keep: int) -> None:
        self._checkpoints = checkpoints
        self._keep = keep
        self._best: list[tuple[float, int]] = []  # (-value, number), the best first
        # Of studies with two objectives: the trials that no other one beats in both.
        self._front: dict[int, Sequence[float]] = {}
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
        self._best, self._front = [], {}
        for trial in ours:
            self.finished(trial.number, trial.values)
        self._outdone.clear()
        wanted = {number for _, number in self._best} | self._front.keys() | set(paused)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            wanted.update(lineage.forerunners(study, trial))
        self._checkpoints.tidy()
        for number in set(self._checkpoints.trials()) - wanted:
            self._delete(number)

    def finished(self, number: int, values: Sequence[float]) -> None:
        """Keeps a trial at full budget while it is among the best, or on the Pareto front.

        Args:
            number: Of the trial.
            values: Its Dice, and its second objective where the study has one.
        """
        bisect.insort(self._best, (-values[0], number))
        leaving = {outdone for _, outdone in self._best[self._keep :]}
        del self._best[self._keep :]
        if len(values) > 1:
            points = {**self._front, number: values}
            self._front = {each: points[each] for each in pareto_front(points.items())}
            leaving |= points.keys() - self._front.keys()
        kept = {each for _, each in self._best} | self._front.keys()
        self._outdone += sorted(leaving - kept)

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
