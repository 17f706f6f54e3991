"""Trials whose models stand together: a finalist's repeats, and the members of an ensemble."""

from __future__ import annotations

from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial

from search.config import Config
from search.repeats import Repeats
from search.results import FINALISTS, best_trials, ranked
from search.study import find_finalists
from search.trial_model import Source
from storage.checkpoints import CheckpointStore
from trainer.errors import InputError


@dataclass(frozen=True)
class Members:
    """The trials that an ensemble is made of.

    Attributes:
        trials: The best first, all of 2D networks or all of 3D ones.
        wanted: How many there were to be.
        kind: 2D or 3D.
        others: Numbers of trials of the other kind that would have been among them.
    """

    trials: tuple[FrozenTrial, ...]
    wanted: int
    kind: str
    others: tuple[int, ...]

    @property
    def numbers(self) -> list[int]:
        """Of the trials."""
        return [trial.number for trial in self.trials]

    def check(self, least: int) -> None:
        """Refuses fewer.

        Raises:
            InputError: There are.
        """
        if len(self.trials) >= least:
            return
        alike = f" of {self.kind} networks, as the best one's is" if self.others else ""
        raise InputError(
            f"--ensemble: expected {self.wanted} trials at full budget with their checkpoints, "
            f"found {len(self.trials)}{alike}; search on, or set export.ensemble to fewer"
        )

    def describe(self) -> list[str]:
        """Lines for whoever may take the ensemble for more than it is."""
        epochs = ", ".join(f"trial {each.number} {each.last_step} epochs" for each in self.trials)
        lines = [
            f"the ensemble is of trials as the search trained them ({epochs}) and not of a final "
            "training; `seeds` of [final] makes one of that"
        ]
        if self.others:
            left = ", ".join(map(str, self.others))
            lines.append(
                f"left out, as not of {self.kind} networks like the best one: trial {left}"
            )
        return lines


def choose_members(config: Config, study: optuna.Study, wanted: int) -> Members:
    """The best trials whose checkpoints are kept, of the best one's kind.

    Args:
        config: Of the search.
        study: Its study.
        wanted: How many, where there are so many.
    """
    store, space = CheckpointStore(config.checkpoints), config.build_space()
    trials: list[FrozenTrial] = []
    others: list[FrozenTrial] = []
    kind = None
    for trial in _most_trusted_first(config, study):
        if len(trials) == wanted:
            break
        if store.load(trial.number) is None:
            continue
        own = space.complete(trial.params).dimensions.upper()
        kind = kind or own
        (trials if own == kind else others).append(trial)
    return Members(tuple(trials), wanted, kind or "", tuple(each.number for each in others))


def _most_trusted_first(config: Config, study: optuna.Study) -> list[FrozenTrial]:
    """Finalists by the mean of their repeats, then the others, whose one score may be luck."""
    order = [each["number"] for each in study.user_attrs.get(FINALISTS, []) if each["n"]]
    known = {trial.number: trial for trial in ranked(study, config)}
    repeated = [known[number] for number in order if number in known]
    return repeated + [trial for trial in best_trials(study, config) if trial not in repeated]


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
