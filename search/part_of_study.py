"""A study of which a sampler sees some trials only."""

from __future__ import annotations

from collections.abc import Container, Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState


class PartOfStudy(optuna.Study):
    """Shows a sampler some trials, or other versions of them, and can be written to."""

    def __init__(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
        """Prepares what is shown.

        Args:
            study: The whole of it.
            trials: All that the sampler sees.
        """
        # The constructor would ask the database what the study knows already.
        self.__dict__.update(study.__dict__)
        self._shown = trials

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        # What every reading method of a study comes down to.
        return [trial for trial in self._shown if states is None or trial.state in states]
