"""Repeats of the finalists over seeds and folds, before one of them is named the winner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from search import lineage
from search.config import Config
from search.enqueued_plans import (
    describe_plan,
    enqueue_plan,
    nth_seed,
    planned,
    retire_others,
    waiting_budget,
    why_unfinished,
)
from search.objectives import dice_of
from search.study import open_finalists
from search.terms import Terms
from search.verdict import Finalist, Score
from storage.checkpoints import CheckpointStore
from storage.errors import CheckpointError


@dataclass(frozen=True)
class _Repeat:
    finalist: FrozenTrial
    seed: int
    fold: int
    plan: str


class Repeats:
    """The finalists of a search, each with its repeats.

    They are trials of the sibling study, on the terms of the search, but for seed and fold, and
    never pruned. One that has ended is not run again.
    """

    def __init__(self, config: Config, search: optuna.Study, finalists: Sequence[FrozenTrial]):
        """Plans the repeats, and enqueues none.

        Args:
            config: Of the search.
            search: Its study.
            finalists: Trials of it at full budget.
        """
        self._config = config
        self._finalists = finalists
        self._planned = [
            repeat for trial in finalists for repeat in _plan_repeats(config, search, trial)
        ]

    def open(self, storage: BaseStorage) -> optuna.Study:
        """The study of repeats, with all enqueued that have not ended."""
        study = open_finalists(self._config, storage)
        lineage.recover(study)
        to_run = [repeat for repeat in self._planned if self._dice(study, repeat) is None]
        if to_run:
            retire_others(study, {repeat.plan for repeat in to_run})
        self._delete_checkpoints_of_others(study)
        for repeat in to_run:
            if not planned(study, repeat.plan, TrialState.WAITING):
                attributes = {
                    lineage.FINALIST: repeat.finalist.number,
                    lineage.SEED: repeat.seed,
                    lineage.FOLD: repeat.fold,
                }
                enqueue_plan(study, repeat.plan, repeat.finalist.params, **attributes)
        return study

    def are_waiting(self, study: optuna.Study) -> bool:
        """Whether any is left to run; else what waits there is a final training."""
        return any(planned(study, each.plan, TrialState.WAITING) for each in self._planned)

    def terms(self, study: optuna.Study) -> Terms:
        """The search's own, until all that wait have ended."""
        config = self._config
        budget = waiting_budget(study, config.budget.price_per_device_hour)
        return Terms(
            epochs=config.study.epochs_per_trial,
            tiles_per_epoch=config.study.tiles_per_epoch,
            train_on="train",
            seed=config.study.seed,
            retries=config.workers.retries,
            # Every one: the post-processing is tuned with them, and an ensemble is made of them.
            keep=budget.trials or 1,
            epochs_expected=config.study.epochs_per_trial,
            budget=budget,
            devices_per_trial=config.workers.gpus_per_trial or 1.0,
        )

    def results(self, study: optuna.Study) -> list[Finalist]:
        """The finalists with the scores of those repeats that have ended with one."""
        return [
            Finalist(trial.number, dice_of(trial) or 0.0, tuple(self._scores(study, trial)))
            for trial in self._finalists
        ]

    def missing(self, study: optuna.Study) -> list[str]:
        """Why repeats have no score, a line for each."""
        lacking = [each for each in self._planned if self._dice(study, each) is None]
        return [
            f"trial {each.finalist.number} with seed {each.seed} on fold {each.fold}: "
            f"{why_unfinished(study, each.plan)}"
            for each in lacking
        ]

    def trained(self, study: optuna.Study, number: int) -> list[FrozenTrial]:
        """The repeats of one finalist that have reached their full budget, in their order."""
        plans = [each.plan for each in self._planned if each.finalist.number == number]
        ended = (planned(study, plan, TrialState.COMPLETE) for plan in plans)
        epochs = self._config.study.epochs_per_trial
        return [
            trial for trials in ended for trial in trials if lineage.is_candidate(trial, epochs)
        ]

    def _scores(self, study: optuna.Study, finalist: FrozenTrial) -> Iterator[Score]:
        for repeat in self._planned:
            if repeat.finalist.number == finalist.number:
                dice = self._dice(study, repeat)
                if dice is not None:
                    yield Score(repeat.seed, repeat.fold, dice)

    def _dice(self, study: optuna.Study, repeat: _Repeat) -> float | None:
        for trial in planned(study, repeat.plan):
            if lineage.is_candidate(trial, self._config.study.epochs_per_trial):
                return dice_of(trial)
            if trial.user_attrs.get(lineage.FAILURE) in self._counts_as_zero():
                return 0.0
        return None

    def _counts_as_zero(self) -> tuple[str, ...]:
        """What a recipe cannot be relied upon for; all else is the machine's, and tried again.

        A finalist has fitted into memory once: without a limit of its own, where it does not
        any more others have taken it.
        """
        limited = self._config.workers.memory_gb_per_trial is not None
        return ("diverged", "memory") if limited else ("diverged",)

    def _delete_checkpoints_of_others(self, study: optuna.Study) -> None:
        store = CheckpointStore(self._config.repeat_checkpoints)
        plans, trials = {repeat.plan for repeat in self._planned}, study.get_trials(deepcopy=False)
        ours = {trial.number for trial in trials if trial.user_attrs.get(lineage.PLAN) in plans}
        for number in set(store.trials()) - ours:
            # What stays is deleted when the search is started again.
            with suppress(CheckpointError):
                store.delete(number)


def _plan_repeats(config: Config, search: optuna.Study, trial: FrozenTrial) -> Iterator[_Repeat]:
    for fold in range(config.finalists.folds):
        for seed in range(1, config.finalists.seeds + 1):
            # Never the search's own: its luck was a reason to choose the trial.
            seed = nth_seed(config.study.seed, seed)
            plan = describe_plan(search, trial, seed=seed, fold=fold)
            yield _Repeat(trial, seed, fold, plan)
