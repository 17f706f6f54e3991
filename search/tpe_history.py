"""What TPE is shown of a study: all of a small one, a fixed number of a large one's trials."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search import lineage

GOOD = 25
"""As many trials as TPE models as the good ones, once it has ten times that number."""
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
# Complete trials by their value, then pruned ones, then those that broke a constraint.
_COMPLETE, _PRUNED, _INFEASIBLE = range(3)
_Rank = tuple[int, float, float]


class TpeHistory:
    """The trials of one study in the order in which TPE prefers them.

    A finished trial does not change: each is ranked once, and not anew for every trial that is
    asked for.

    A trial and those that go on from it are one line, and the same run: it is shown once, by its
    newest trial that has ended. Until a promoted trial has, the stopped one stands for it.
    """

    def __init__(self) -> None:
        """Knows nothing yet."""
        self._trials: list[FrozenTrial] = []
        self._unfinished: list[int] = []
        # Of those that TPE learns from: a trial that failed tells it nothing.
        self._finished: list[int] = []
        self._infeasible: list[int] = []
        self._ranked: list[tuple[_Rank, int]] = []
        self._of_line: dict[int, tuple[_Rank, int]] = {}

    def read(self, study: optuna.Study) -> list[FrozenTrial]:
        """Takes in what has happened since the last time.

        Returns:
            The trials that have finished since, in the order of their numbers.
        """
        known = len(self._trials)
        self._trials = study.get_trials(deepcopy=False)
        open_before = [*self._unfinished, *range(known, len(self._trials))]
        self._unfinished = [n for n in open_before if not self._trials[n].state.is_finished()]
        new = [self._trials[n] for n in open_before if self._trials[n].state in _FINISHED]
        # Where there are two objectives, the bound keeps the best by the first of them.
        sign = -1.0 if study.directions[0] is StudyDirection.MAXIMIZE else 1.0
        for trial in new:
            self._take(trial, sign)
        return new

    def _take(self, trial: FrozenTrial, sign: float) -> None:
        rank = _rank(trial, sign)
        line = lineage.origin(trial)
        if line in self._of_line:
            self._forget(*self._of_line[line])
        self._of_line[line] = (rank, trial.number)
        insort(self._finished, trial.number)
        insort(self._ranked, (rank, trial.number))
        if rank[0] == _INFEASIBLE:
            insort(self._infeasible, trial.number)

    def _forget(self, rank: _Rank, number: int) -> None:
        del self._finished[bisect_left(self._finished, number)]
        del self._ranked[bisect_left(self._ranked, (rank, number))]
        if rank[0] == _INFEASIBLE:
            del self._infeasible[bisect_left(self._infeasible, number)]

    def excerpt(self, *, finished: int, running: int) -> list[FrozenTrial]:
        """The trials that TPE is shown, in the order of their numbers.

        All that it would take for good ones are among them, so that only its picture of the others
        is coarser: it is drawn from trials spread evenly over the study. Infeasible trials may be
        few, and each tells much: up to a quarter of the number is shown of them besides.

        Args:
            finished: About how many that have finished; at least ten times `GOOD`.
            running: At most how many that have not.
        """
        shown = set(_spread(self._finished, finished))
        if len(shown) < len(self._finished):
            shown.update(number for _, number in self._ranked[:GOOD])
            shown.update(_spread(self._infeasible, finished // 4))
        shown.update(_spread([n for n in self._unfinished if self._is_new(n)], running))
        return [self._trials[n] for n in sorted(shown)]

    def _is_new(self, number: int) -> bool:
        """Whether a trial is running of whose line nothing else is known."""
        trial = self._trials[number]
        return trial.state is TrialState.RUNNING and lineage.origin(trial) not in self._of_line


def _rank(trial: FrozenTrial, sign: float) -> _Rank:
    """Sorts as TPE does, the best first; trials of the same rank by their numbers."""
    broken = sum(excess for excess in trial.constraints.values() if excess > 0)
    if broken > 0:
        return _INFEASIBLE, broken, 0.0
    if trial.state is TrialState.COMPLETE:
        return _COMPLETE, sign * trial.values[0], 0.0
    step = trial.last_step
    if step is None:
        # After every trial that has reported: their steps are negative here.
        return _PRUNED, 1.0, 0.0
    value = trial.intermediate_values[step]
    return _PRUNED, -step, math.inf if math.isnan(value) else sign * value


def _spread(numbers: Sequence[int], count: int) -> Sequence[int]:
    """So many of them in even steps, from the newest back; all where there are no more."""
    if len(numbers) <= count:
        return numbers
    last = len(numbers) - 1
    return [numbers[last - index * len(numbers) // count] for index in range(count)]
