"""The winner of a search, and what speaks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial

from search.config import Config
from search.repeats import Repeats
from search.results import FINALISTS, ranked
from search.verdict import Finalist, rank_finalists
from storage.checkpoints import CheckpointStore
from trainer.errors import InputError


@dataclass(frozen=True)
class Choice:
    """Which trial has won.

    Attributes:
        winner: A trial of the search.
        finalists: With their repeats, the winner first; none where nothing was repeated.
        missing: Why repeats have no score, a line for each.
    """

    winner: FrozenTrial
    finalists: tuple[Finalist, ...] = ()
    missing: tuple[str, ...] = ()

    def write(self, search: optuna.Study) -> None:
        """Keeps the finalists with the study, in place of those of an earlier choice."""
        search.set_user_attr(FINALISTS, [finalist.to_json() for finalist in self.finalists])


def list_finalists(
    search: optuna.Study, config: Config, announce: Callable[[str], None]
) -> list[FrozenTrial]:
    """The best trials at full budget that a model can be made of; none where no trial has finished.

    Args:
        search: Its study.
        config: Of it.
        announce: Takes a line for each better one whose checkpoint is lost.

    Raises:
        InputError: There are such trials, and no checkpoint of any.
    """
    store, best = CheckpointStore(config.checkpoints), ranked(search, config)
    finalists: list[FrozenTrial] = []
    lost: list[str] = []
    for trial in best:
        if len(finalists) == config.finalists.count:
            break
        if store.load(trial.number) is None:
            lost.append(f"trial {trial.number} is left out: no readable checkpoint of it")
        else:
            finalists.append(trial)
    if best and not finalists:
        raise InputError(
            f"study.runs: expected a readable checkpoint of a trial at full budget in "
            f"{config.checkpoints}, found none; put them back, or go on with --trials and a number "
            "above the present one"
        )
    for line in lost:
        announce(line)
    return finalists


def choose_winner(search: optuna.Study, repeats: Repeats, repeated: optuna.Study) -> Choice:
    """Names the finalist with the best mean.

    Args:
        search: The study of the search.
        repeats: Of its finalists.
        repeated: The study that holds them.
    """
    finalists = rank_finalists(repeats.results(repeated))
    winner = search.get_trials(deepcopy=False)[finalists[0].number]
    return Choice(winner, tuple(finalists), tuple(repeats.missing(repeated)))
