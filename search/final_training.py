"""The final training of a search's winner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
from search.study import open_finalists
from search.terms import Terms
from search.trial_model import Source
from storage.checkpoints import CheckpointStore


@dataclass(frozen=True)
class Trained:
    """What the final training came to.

    Attributes:
        sources: Those that were trained to the end, by seed.
        missing: Why others were not, a line for each.
    """

    sources: Sequence[Source]
    missing: Sequence[str]


def open_final(
    config: Config,
    storage: BaseStorage,
    search: optuna.Study,
    winner: FrozenTrial,
    epochs: int | None = None,
) -> optuna.Study:
    """The study of final trainings, with the winner's enqueued that are not there already.

    Args:
        config: Of the search.
        storage: Of its database.
        search: Its study.
        winner: Its best trial.
        epochs: That there is time for, where that is less than the config's; once one has begun,
            all keep the length that it began with.
    """
    study, plans = open_finalists(config, storage), _plan(config, search, winner)
    lineage.recover(study)
    retire_others(study, plans.values())
    trials = [trial for plan in plans.values() for trial in planned(study, plan)]
    begun = [trial for trial in trials if trial.state is not TrialState.WAITING]
    length = _length(config, begun) if begun else epochs
    attributes = {} if length is None else {lineage.EPOCHS: length}
    if not begun and length is not None:
        # There may be more room for those that wait than when they were enqueued.
        for trial in trials:
            study._storage.set_trial_user_attr(trial._trial_id, lineage.EPOCHS, length)
    for seed, plan in plans.items():
        if not planned(study, plan, TrialState.WAITING) and not _finished(config, study, plan):
            enqueue_plan(study, plan, winner.params, **attributes, **{lineage.SEED: seed})
    return study


def final_terms(config: Config, study: optuna.Study, *, cpus: float) -> Terms:
    """The terms of the final training; its budget is the trials that wait.

    Args:
        config: Of the search.
        study: Of final trainings.
        cpus: That each of them holds: it is charged for as many trials of the search as these
            would have been enough for.
    """
    if config.final is None:
        raise ValueError("a config without [final] has no final training")
    budget = waiting_budget(study, config.budget.price_per_device_hour)
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    epochs = _length(config, waiting)
    return Terms(
        epochs=epochs,
        tiles_per_epoch=config.study.tiles_per_epoch,
        train_on=config.final.train_on,
        seed=config.study.seed,
        retries=config.workers.retries,
        # Every winner's: a later one need not score higher on its own validation.
        keep=budget.trials or 1,
        epochs_expected=epochs,
        budget=budget,
        devices_per_trial=config.workers.gpus_per_trial or cpus / config.workers.cpus_per_trial,
    )


def trained(config: Config, source: Source, study: optuna.Study) -> Trained:
    """The finished final trainings of a trial of the search, and why others are not finished."""
    sources, missing = [], []
    for seed, plan in _plan(config, source.study, source.trial).items():
        done = _finished(config, study, plan)
        if done is None:
            missing.append(f"seed {seed}: {why_unfinished(study, plan)}")
        else:
            sources.append(replace(source, study=study, trial=done))
    return Trained(sources, missing)


def _plan(config: Config, search: optuna.Study, winner: FrozenTrial) -> Mapping[int, str]:
    """The plan of each seed; the first one is the search's own."""
    if config.final is None:
        raise ValueError("a config without [final] has no final training")
    terms = config.final.model_dump(include={"epochs", "hours", "train_on"}, exclude_none=True)
    first = config.study.seed
    seeds = [nth_seed(first, number) for number in range(config.final.seeds)]
    return {
        # Another number of them leaves what has been trained as it is.
        seed: describe_plan(search, winner, **terms, **({"seed": seed} if seed != first else {}))
        for seed in seeds
    }


def _finished(config: Config, study: optuna.Study, plan: str) -> FrozenTrial | None:
    """The newest that has reached its full length."""
    epochs = config.final.epochs if config.final else 0
    store = CheckpointStore(config.final_checkpoints)
    for trial in reversed(planned(study, plan, TrialState.COMPLETE)):
        # One whose checkpoint cannot be read any more is trained anew.
        if lineage.is_candidate(trial, epochs) and store.load(trial.number) is not None:
            return trial
    return None


def _length(config: Config, trials: Sequence[FrozenTrial]) -> int:
    """Epochs of final trainings, which are all as long as each other."""
    most = config.final.epochs if config.final else 0
    return int(next((trial.user_attrs.get(lineage.EPOCHS, most) for trial in trials), most))
