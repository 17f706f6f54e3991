"""The models that stand beside the winner's: of the other finalists, and of their repeats."""

from __future__ import annotations

from collections.abc import Iterable

import optuna

from search.config import Config
from search.finalists import Source
from search.repeats import Repeats
from search.results import FINALISTS
from search.study import find_finalists
from storage.checkpoints import CheckpointStore


def finalist_sources(config: Config, search: optuna.Study) -> list[Source]:
    """The finalists as the search ran them, the winner first, whose checkpoints are kept.

    Args:
        config: Of the search.
        search: Its study; without named finalists there are none.
    """
    trials = search.get_trials(deepcopy=False)
    numbers = [each["number"] for each in search.user_attrs.get(FINALISTS, [])]
    return _kept(Source(config, search, trials[number]) for number in numbers)


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
    return _kept(Source(config, repeated, trial) for trial in trained)


def _kept(sources: Iterable[Source]) -> list[Source]:
    return [
        source
        for source in sources
        if CheckpointStore(source.checkpoints).load(source.trial.number) is not None
    ]
