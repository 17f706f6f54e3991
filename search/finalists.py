"""From the best trial to the model that a search ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from search import lineage
from search.config import Config
from search.data import StudyData
from search.objectives import dice_of
from search.plans import describe_plan, enqueue_plan, planned, retire_others, waiting_budget
from search.provenance import describe_software
from search.repeats import repeats_folder
from search.results import FINALISTS
from search.runner import DICE_BY_VOLUME, STARTED_FROM
from search.study import open_finalists
from search.terms import Terms
from storage.checkpoints import CheckpointStore
from trainer.device import configure_device
from trainer.errors import InputError
from trainer.model import Model, build_model, in_precision, save_model
from trainer.postprocess import Judge, tune


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
    def is_repeat(self) -> bool:
        """Whether it is a finalist's repeat."""
        return lineage.FINALIST in self.trial.user_attrs

    @property
    def is_final(self) -> bool:
        """Whether it is the final training, and neither a trial of the search nor a repeat."""
        return self.study.study_name != self.config.study.name and not self.is_repeat

    @property
    def trained_on_validation(self) -> bool:
        """Whether the validation sections were among those that it was trained on."""
        final = self.config.final
        return self.is_final and final is not None and final.train_on == "all"

    @property
    def fold(self) -> int:
        """Which of the study's splits it was trained by."""
        return int(self.trial.user_attrs.get(lineage.FOLD, 0))

    @property
    def checkpoints(self) -> Path:
        """The folder that the study's checkpoints lie in."""
        if self.is_repeat:
            return repeats_folder(self.config)
        return self.config.folder / ("finalists" if self.is_final else "trials")


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
    if done:
        return replace(source, study=study, trial=done[-1])
    ended = planned(study, plan, TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE)
    if not ended:
        return "it has not begun"
    return str(ended[-1].user_attrs.get(lineage.REASON, "it was told by somebody else"))


def save_winner(
    source: Source, search: Source, data: StudyData, folder: Path, repeats: Sequence[Source] = ()
) -> Path:
    """Writes the model of the search, what follows the network tuned on validation.

    Args:
        source: Whose weights it has.
        search: The winner as the search ran it.
        data: The study's.
        folder: To write to.
        repeats: The winner's, as far as their checkpoints are kept.
    """
    model = build_trial_model(source, search.trial, data.to_json())
    # Sections that were trained on cannot judge: others of its kind do, each on sections that are
    # new to it.
    seen = source.trained_on_validation
    judges = _choose_judges(search, repeats) if seen else [source]
    models = [
        build_trial_model(judge, search.trial, data.to_json()) if seen else model
        for judge in judges
    ]
    precision = configure_device().precision
    fast = [in_precision(each, precision) for each in models]
    # A threshold belongs to the network that it was found for: one that was trained longer and on
    # more is surer of itself, and the other's threshold would suit it less than one half.
    tuned = tune(
        model,
        [
            Judge(each, own.volume, own.splits[judge.fold].validation, own.name)
            for each, judge in zip(fast, judges, strict=True)
            for own in data.volumes
        ],
        threshold=0.5 if seen else None,
    )
    validation = asdict(tuned.scores) | {"of": _judged_by(judges, seen=seen)}
    if len(data.volumes) > 1:
        validation["by_volume"] = {name: asdict(own) for name, own in tuned.by_volume.items()}
    card = {
        **model.card,
        "validation": validation,
        "finalists": search.study.user_attrs.get(FINALISTS, []),
    }
    save_model(replace(tuned.model, card=card), folder)
    return folder


def _choose_judges(search: Source, repeats: Sequence[Source]) -> list[Source]:
    """One for each fold: the first of its repeats, and at least the search's own trial."""
    judges = {0: search} | {repeat.fold: repeat for repeat in reversed(repeats)}
    return [judges[fold] for fold in sorted(judges)]


def _judged_by(judges: Sequence[Source], *, seen: bool) -> str:
    if not seen:
        return "this model, on sections that it did not train on"
    repeated = any(judge.is_repeat for judge in judges)
    who = "repeats of the search's trial, each" if repeated else "the search's trial,"
    return f"{who} on sections that it did not train on"


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
        "seed": source.trial.user_attrs.get(lineage.SEED, source.config.study.seed),
        "fold": source.fold,
        "validation": {
            "dice": dice_of(source.trial),
            "precision": checkpoint.facts["precision"],
            "recall": checkpoint.facts["recall"],
            **_kept(checkpoint.facts, DICE_BY_VOLUME),
            "of": "sections that it trained on"
            if source.trained_on_validation
            else "this model, on sections that it did not train on",
        },
        "data": dict(data),
        **_kept(checkpoint.facts, STARTED_FROM),
        "software": describe_software(),
    }
    return build_model(
        source.config.build_space().for_voxels(data.get("voxel_size_nm")).complete(winner.params),
        checkpoint.arrays,
        threshold=float(checkpoint.facts["threshold"]),
        card=card,
    )


def _kept(facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A fact that not every trial has."""
    return {name: facts[name]} if name in facts else {}


def _plan(config: Config, search: optuna.Study, winner: FrozenTrial) -> str:
    if config.final is None:
        raise ValueError("a config without [final] has no final training")
    return describe_plan(search, winner, **config.final.model_dump())


def _finished(config: Config, study: optuna.Study, plan: str) -> list[FrozenTrial]:
    epochs = config.final.epochs if config.final else 0
    done = planned(study, plan, TrialState.COMPLETE)
    # One whose checkpoint cannot be read any more is trained anew.
    store = CheckpointStore(config.folder / "finalists")
    return [
        trial
        for trial in done
        if lineage.is_candidate(trial, epochs) and store.load(trial.number) is not None
    ]
