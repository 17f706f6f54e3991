"""The networks that a search begins with."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from search.config import Config
from search.plan import ONE_AT_A_TIME
from search.space import Space
from trainer.earlier_model import EarlierModel
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters


def first_runs(
    config: Config, space: Space, earlier: EarlierModel | None = None
) -> list[Hyperparameters]:
    """The runs that are tried before the sampler is asked, or that a table of changes consists of.

    What they leave open is from the middle of the space.

    Args:
        config: Of the search.
        space: Of the search, for its data.
        earlier: The model that a start of the config names.
    """
    planned = config.starts(space, earlier)
    if config.study.sampler == ONE_AT_A_TIME:
        planned = [*planned, *config.build_changes().runs]
    return [run for each in planned for run in _complete(space, each.params)]


def _complete(space: Space, params: Mapping[str, Any]) -> list[Hyperparameters]:
    middle = {each.name: each.middle() for each in space.dimensions}
    # The middle of one dimension need not fit a value of another.
    with suppress(InputError):
        return [space.complete({**middle, **params})]
    return []
