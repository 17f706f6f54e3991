"""Successive halving that costs the same however many trials a study has."""

from __future__ import annotations

import math
from binascii import crc32
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from search import lineage
from search.rung import Rung


@dataclass(frozen=True)
class Bracket:
    """Trials that are judged after the same epochs.

    Attributes:
        rungs: These epochs, rising; none where trials are never stopped.
        share: How many trials the bracket takes, relative to the others.
    """

    rungs: tuple[int, ...]
    share: int = 1


class RungPruner(optuna.pruners.BasePruner):
    """Decides as Optuna's HyperbandPruner, or SuccessiveHalvingPruner where there is one bracket.

    Optuna's count rungs from the first epoch on: the last may be one epoch before the end. Here
    they are given.

    Optuna's read every trial of the study for every decision. This one reads them once, and then
    knows what it was asked about: it is for a study of which one process runs all trials.

    A trial that is asked about late has at each rung what it had there, and not its newest value.

    A trial and those that go on from it are one line: in the bracket of its first trial, and at
    each rung with the newest value only.

    Optuna's samplers show a trial the history of its own bracket where they find Optuna's
    Hyperband. They do not know this one, and so learn from all trials, which is intended: brackets
    differ in when they stop a trial, not in what makes it good.
    """

    def __init__(self, brackets: Sequence[Bracket], *, reduction: int) -> None:
        """Prepares a pruner for one study.

        Args:
            brackets: At least one.
            reduction: One trial in so many passes a rung.
        """
        self._brackets = tuple(brackets)
        self._shares = list(accumulate(bracket.share for bracket in brackets))
        self._storage: optuna.storages.BaseStorage | None = None
        self._study_id = -1
        self._rungs: defaultdict[tuple[int, int], Rung] = defaultdict(lambda: Rung(reduction))

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial has reached a rung and is not among the best there."""
        epoch = trial.last_step
        if epoch is None:
            return False
        index = self._bracket_of(study, trial)
        rung = rungs_judged_at(trial)
        while epoch >= self._epoch(index, rung):
            value = self._value_at(trial, index, rung)
            # A rung that was skipped, or where there was no number, counts with the newest value.
            value = trial.intermediate_values[epoch] if math.isnan(value) else value
            if math.isnan(value) or not self._passes(study, trial, index, rung, value):
                return True
            rung += 1
        return False

    def _passes(
        self, study: optuna.Study, trial: FrozenTrial, index: int, rung: int, value: float
    ) -> bool:
        loss = self._record(study, trial, index, rung, value)
        return self._rungs[index, rung].passes(loss)

    def _record(
        self, study: optuna.Study, trial: FrozenTrial, index: int, rung: int, value: float
    ) -> float:
        """Keeps what a trial has at a rung, and returns it as the rung counts it."""
        self._load_once(study)
        study._storage.set_trial_system_attr(trial._trial_id, _key(rung), value)
        loss = _loss(study, value)
        self._rungs[index, rung].record(lineage.origin(trial), loss)
        return loss

    def _epoch(self, index: int, rung: int) -> float:
        """After which the trials of a bracket are judged at a rung; infinity beyond the last."""
        rungs = self._brackets[index].rungs
        return rungs[rung] if rung < len(rungs) else math.inf

    def _value_at(self, trial: FrozenTrial, index: int, rung: int) -> float:
        return trial.intermediate_values.get(self._brackets[index].rungs[rung], math.nan)

    def _bracket_of(self, study: optuna.Study, trial: FrozenTrial) -> int:
        """Drawn from the study's name and the trial's number, as Optuna's Hyperband does."""
        drawn = crc32(f"{study.study_name}_{lineage.origin(trial)}".encode())
        return bisect_right(self._shares, drawn % self._shares[-1])

    def _load_once(self, study: optuna.Study) -> None:
        """Reads what was recorded before this process; from then on nobody else records."""
        if self._storage is study._storage and self._study_id == study._study_id:
            return
        self._storage, self._study_id = study._storage, study._study_id
        self._rungs.clear()
        self._load(study)

    def _load(self, study: optuna.Study) -> None:
        # In the order of their numbers, so that the newest trial of a line has the last word.
        for trial in study.get_trials(deepcopy=False):
            index = self._bracket_of(study, trial)
            for rung in range(self._rungs_reached(trial, index)):
                value = self._value_at(trial, index, rung)
                # As where it was judged: an epoch without a number counts with what was kept.
                value = trial.system_attrs[_key(rung)] if math.isnan(value) else value
                self._rungs[index, rung].record(lineage.origin(trial), _loss(study, value))

    def _rungs_reached(self, trial: FrozenTrial, index: int) -> int:
        """How many rungs the trial was judged at, and has come as far as.

        Where it was judged by another pruner, its rungs were after other epochs.
        """
        rung, judged = 0, rungs_judged_at(trial)
        last = -1 if trial.last_step is None else trial.last_step
        while rung < judged and self._epoch(index, rung) <= last:
            rung += 1
        return rung


def rungs_judged_at(trial: FrozenTrial) -> int:
    """How many rungs the trial has been judged at."""
    rung = 0
    while _key(rung) in trial.system_attrs:
        rung += 1
    return rung


def _key(rung: int) -> str:
    """The attribute that Optuna's own pruners keep a rung's value in."""
    return f"completed_rung_{rung}"


def _loss(study: optuna.Study, value: float) -> float:
    """The value, turned so that less is better."""
    return -value if study.direction is StudyDirection.MAXIMIZE else value
