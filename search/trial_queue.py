"""What a search begins next: trials that go on, what somebody asks for, then new ones."""

from __future__ import annotations

import optuna
from optuna.trial import TrialState

from search import lineage
from search.budget import Budget
from search.promotion import Promotions
from search.samplers import is_exhausted
from search.standing import Standing


class TrialQueue:
    """The trials of a study in the order in which they are begun."""

    def __init__(self, study: optuna.Study, promotions: Promotions, budget: Budget) -> None:
        """Takes nothing yet.

        Args:
            study: With its sampler.
            promotions: Of its paused trials.
            budget: That new trials are begun on; those that go on were paid for when they began.
        """
        self._study = study
        self._promotions = promotions
        self._budget = budget

    def take(self, standing: Standing) -> optuna.Trial | None:
        """A RUNNING trial to begin, counted in how the search stands; None where none is left."""
        trial = lineage.take_continuation(self._study)
        if trial is None and self._promotions.enqueue_next():
            standing.paused -= 1
            trial = lineage.take_continuation(self._study)
        if trial is None and self._allows_another(standing):
            # Ideas of the config can be many: what somebody asks for meanwhile comes first.
            trial = lineage.take_enqueued(self._study) or self._study.ask()
            standing.spent.trials += 1
        return trial

    def is_empty(self, standing: Standing) -> bool:
        """Whether there is nothing to take, found without taking it."""
        waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return not (
            any(map(lineage.is_continuation, waiting))
            or self._promotions.has_next()
            or self._allows_another(standing)
        )

    def _allows_another(self, standing: Standing) -> bool:
        """Whether the budget has room for one, and the sampler something to try."""
        return self._budget.allows_another(standing.spent) and not is_exhausted(self._study)
