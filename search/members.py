"""The models that stand beside a finalist's: of its repeats."""

from __future__ import annotations

import optuna

from search.config import Config
from search.repeats import Repeats
from search.study import find_finalists
from search.trial_model import Source
from storage.checkpoints import CheckpointStore


def repeat_sources(config: Config, search: optuna.Study, number: int) -> list[Source]:
    """The repeats of one finalist at full budget whose checkpoints are kept, by fold and seed.

    Args:
        config: Of the search.
        search: Its study.
        number: Of a finalist.
    """
    repeated = find_finalists(config, search)
    if repeated is None:
        return []
    repeats = Repeats(config, search, [search.get_trials(deepcopy=False)[number]])
    trained = repeats.trained(repeated, number)
    sources = [Source(config, repeated, trial) for trial in trained]
    return [each for each in sources if CheckpointStore(each.checkpoints).epochs(each.trial.number)]
