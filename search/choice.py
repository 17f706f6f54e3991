"""The winner of a search, and what speaks for it."""

from __future__ import annotations

from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial

from search.repeats import Repeats
from search.results import FINALISTS
from search.verdict import Finalist, rank_finalists


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
