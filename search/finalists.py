"""From the best trial to the model that a search ends with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from search import lineage
from search.budget import Budget
from search.config import Config
from search.data import StudyData
from search.objectives import dice_of
from search.provenance import describe_software
from search.study import describe_identity, open_finalists
from search.terms import Terms
from storage.checkpoints import CheckpointStore
from trainer.device import configure_device
from trainer.errors import InputError
from trainer.model import Model, build_model, in_precision, save_model
from trainer.postprocess import tune


@dataclass(frozen=True)
class Source:
    """Where a model's weights come from.

    Attributes:
        config: Of the search.
        study: The search's own, or its finalists'.
        trial: A finished trial of it.
    """

    config: Config
    study: optuna.Study
    trial: FrozenTrial

    @property
    def is_final(self) -> bool:
        """Whether it is the final training, and not a trial of the search."""
        return self.study.study_name != self.config.study.name

    @property
    def trained_on_validation(self) -> bool:
        """Whether the validation sections were among those that it was trained on."""
        final = self.config.final
        return self.is_final and final is not None and final.train_on == "all"

    @property
    def checkpoints(self) -> Path:
        """The folder that the study's checkpoints lie in."""
        return self.config.folder / ("finalists" if self.is_final else "trials")


def open_final(
    config: Config, storage: BaseStorage, search: optuna.Study, winner: FrozenTrial
) -> optuna.Study:
    """The study of final trainings, with the winner's enqueued unless it is there already."""
    study, plan = open_finalists(config, storage), _plan(config, search, winner)
    lineage.recover(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        if trial.user_attrs.get(lineage.PLAN) != plan:
            # What an earlier winner left unfinished is not worth going on with.
            reason = "another final training has taken its place"
            storage.set_trial_user_attr(trial._trial_id, lineage.REASON, reason)
            storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    if not _planned(study, plan, TrialState.WAITING) and not _finished(config, study, plan):
        study.enqueue_trial(winner.params, user_attrs={lineage.PLAN: plan})
    return study


def final_terms(config: Config, study: optuna.Study) -> Terms:
    """The terms of the final training; its budget is that one trial."""
    if config.final is None:
        raise ValueError("a config without [final] has no final training")
    counted = sum(map(lineage.counts_towards_budget, study.get_trials(deepcopy=False)))
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    new = sum(not lineage.is_continuation(trial) for trial in waiting)
    return Terms(
        epochs=config.final.epochs,
        tiles_per_epoch=config.study.tiles_per_epoch,
        train_on=config.final.train_on,
        seed=config.study.seed,
        retries=config.workers.retries,
        # Every winner's: a later one need not score higher on its own validation.
        keep=counted + new,
        epochs_expected=config.final.epochs,
        budget=Budget(trials=counted + new),
    )


def trained(config: Config, source: Source, study: optuna.Study) -> Source | str:
    """The finished final training of a trial of the search, or why there is none."""
    plan = _plan(config, source.study, source.trial)
    done = _finished(config, study, plan)
    if done:
        return replace(source, study=study, trial=done[-1])
    ended = _planned(study, plan, TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE)
    if not ended:
        return "it has not begun"
    return str(ended[-1].user_attrs.get(lineage.REASON, "it was told by somebody else"))


def save_winner(source: Source, search: Source, data: StudyData, folder: Path) -> Path:
    """Writes the model of the search, its views, median along z and threshold tuned on validation.

    Args:
        source: Whose weights it has.
        search: The winner as the search ran it.
        data: The study's.
        folder: To write to.
    """
    model = build_trial_model(source, search.trial, data.to_json())
    # Sections that were trained on cannot judge: then the search's own model is tuned on them.
    seen = source.trained_on_validation
    judge = build_trial_model(search, search.trial, data.to_json()) if seen else model
    fast = in_precision(judge, configure_device().precision)
    # A threshold belongs to the network that it was found for: one that was trained longer and on
    # more is surer of itself, and the other's threshold would suit it less than one half.
    threshold = 0.5 if seen else None
    tuned, scores = tune(fast, data.volume, data.split.validation, threshold=threshold)
    judged = "the search's trial" if seen else "this model"
    validation = asdict(scores) | {"of": f"{judged}, on sections that it did not train on"}
    card = {**model.card, "validation": validation}
    settings = {name: getattr(tuned, name) for name in ("threshold", "views", "z_median")}
    save_model(replace(model, **settings, card=card), folder)
    return folder


def build_trial_model(source: Source, winner: FrozenTrial, data: Mapping[str, Any]) -> Model:
    """Makes the model of a finished trial from its checkpoint.

    Raises:
        InputError: The checkpoint is not kept any more.
    """
    checkpoint = CheckpointStore(source.checkpoints).load(source.trial.number)
    if checkpoint is None:
        raise InputError(
            f"trial {winner.number}: expected a readable checkpoint in {source.checkpoints}, found "
            f"none; those of the best {source.config.study.keep} trials (study.keep) are kept"
        )
    configure_device()
    final = source.config.final if source.is_final else None
    card = {
        "study": source.config.study.name,
        "trial": winner.number,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "train_on": final.train_on if final else "train",
        "epochs": checkpoint.epoch,
        "tiles_per_epoch": source.config.study.tiles_per_epoch,
        "seed": source.config.study.seed,
        "validation": {
            "dice": dice_of(source.trial),
            "precision": checkpoint.facts["precision"],
            "recall": checkpoint.facts["recall"],
            "of": "sections that it trained on"
            if source.trained_on_validation
            else "this model, on sections that it did not train on",
        },
        "data": dict(data),
        "software": describe_software(),
    }
    return build_model(
        source.config.build_space().complete(winner.params),
        checkpoint.arrays,
        threshold=float(checkpoint.facts["threshold"]),
        card=card,
    )


def _plan(config: Config, search: optuna.Study, winner: FrozenTrial) -> str:
    """What tells one final training from another, also from those of a study since deleted."""
    if config.final is None:
        raise ValueError("a config without [final] has no final training")
    plan = {
        "trial": winner.number,
        "params": winner.params,
        "begun": str(winner.datetime_start),
        "study": describe_identity(search),
    }
    return json.dumps(plan | config.final.model_dump())


def _finished(config: Config, study: optuna.Study, plan: str) -> list[FrozenTrial]:
    epochs = config.final.epochs if config.final else 0
    done = _planned(study, plan, TrialState.COMPLETE)
    # One whose checkpoint cannot be read any more is trained anew.
    store = CheckpointStore(config.folder / "finalists")
    return [
        trial
        for trial in done
        if lineage.is_candidate(trial, epochs) and store.load(trial.number) is not None
    ]


def _planned(study: optuna.Study, plan: str, *states: TrialState) -> list[FrozenTrial]:
    trials = study.get_trials(deepcopy=False, states=states)
    return [trial for trial in trials if trial.user_attrs.get(lineage.PLAN) == plan]
