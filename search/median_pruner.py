"""The median rule at a cost that does not grow with the study."""

from __future__ import annotations

import math
from bisect import insort
from collections import defaultdict

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

_TRIALS_BEFORE = 5


class MedianPruner(optuna.pruners.BasePruner):
    """Decides as Optuna's MedianPruner: a trial goes on while its best so far reaches the median.

    The median is that of the complete trials after the same epoch, and the first few trials are
    not judged. Optuna's reads every trial of the study for every decision. This one reads them
    once, and then knows what it was asked about: it is for a study of which one process runs all
    trials.
    """

    def __init__(self, *, epochs: int) -> None:
        """Prepares a pruner for one study.

        Args:
            epochs: After which a trial is complete.
        """
        self._epochs = epochs
        self._storage: optuna.storages.BaseStorage | None = None
        self._study_id = -1
        self._complete: set[int] = set()
        self._sorted: defaultdict[int, list[float]] = defaultdict(list)

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the best value of the trial so far is worse than the median."""
        epoch = trial.last_step
        if epoch is None:
            return False
        self._load_once(study)
        verdict = len(self._complete) >= _TRIALS_BEFORE and self._is_worse(study, trial, epoch)
        if epoch >= self._epochs:
            self._record(trial)
        return verdict

    def _is_worse(self, study: optuna.Study, trial: FrozenTrial, epoch: int) -> bool:
        sign = -1.0 if study.direction is StudyDirection.MAXIMIZE else 1.0
        values = [sign * v for v in trial.intermediate_values.values() if not math.isnan(v)]
        if not values:
            return True
        others = self._sorted[epoch]
        if not others:
            return False
        middle = (others[(len(others) - 1) // 2] + others[len(others) // 2]) / 2
        return min(values) > sign * middle

    def _load_once(self, study: optuna.Study) -> None:
        """Reads what was complete before this process; from then on nobody else runs trials."""
        if self._storage is study._storage and self._study_id == study._study_id:
            return
        self._storage, self._study_id = study._storage, study._study_id
        self._complete.clear()
        self._sorted.clear()
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            self._record(trial)

    def _record(self, trial: FrozenTrial) -> None:
        if trial.number in self._complete:
            return
        self._complete.add(trial.number)
        for epoch, value in trial.intermediate_values.items():
            if not math.isnan(value):
                insort(self._sorted[epoch], value)
