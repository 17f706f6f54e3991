"""The final training of a search's winner."""

from __future__ import annotations

from dataclasses import replace

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from search import lineage
from search.config import Config
from search.enqueued_plans import (
    describe_plan,
    enqueue_plan,
    planned,
    retire_others,
    waiting_budget,
)
from search.study import open_finalists
from search.terms import Terms
from search.trial_model import Source
from storage.checkpoints import CheckpointStore


def open_final(
    config: Config, storage: BaseStorage, search: optuna.Study, winner: FrozenTrial
) -> optuna.Study:
    """The study of final trainings, with the winner's enqueued unless it is there already."""
    study, plan = open_finalists(config, storage), _plan(config, search, winner)
    lineage.recover(study)
    retire_others(study, {plan})
    if not planned(study, plan, TrialState.WAITING) and not _finished(config, study, plan):
        enqueue_plan(study, plan, winner.params)
    return study


def final_terms(config: Config, study: optuna.Study) -> Terms:
    """The terms of the final training; its budget is that one trial."""
    if config.final is None:
        raise ValueError("a config without [final] has no final training")
    budget = waiting_budget(study)
    return Terms(
        epochs=config.final.epochs,
        tiles_per_epoch=config.study.tiles_per_epoch,
        train_on=config.final.train_on,
        seed=config.study.seed,
        retries=config.workers.retries,
        # Every winner's: a later one need not score higher on its own validation.
        keep=budget.trials or 1,
        epochs_expected=config.final.epochs,
        budget=budget,
    )


def trained(config: Config, source: Source, study: optuna.Study) -> Source | str:
    """The finished final training of a trial of the search, or why there is none."""
    plan = _plan(config, source.study, source.trial)
    done = _finished(config, study, plan)
    if done is not None:
        return replace(source, study=study, trial=done)
    ended = planned(study, plan, TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE)
    if not ended:
        return "it has not begun"
    return str(ended[-1].user_attrs.get(lineage.REASON, "it was told by somebody else"))


def _plan(config: Config, search: optuna.Study, winner: FrozenTrial) -> str:
    if config.final is None:
        raise ValueError("a config without [final] has no final training")
    return describe_plan(search, winner, **config.final.model_dump())


def _finished(config: Config, study: optuna.Study, plan: str) -> FrozenTrial | None:
    """The newest that has reached its full length."""
    epochs = config.final.epochs if config.final else 0
    store = CheckpointStore(config.final_checkpoints)
    for trial in reversed(planned(study, plan, TrialState.COMPLETE)):
        # One whose checkpoint cannot be read any more is trained anew.
        if lineage.is_candidate(trial, epochs) and store.load(trial.number) is not None:
            return trial
    return None
