"""The model of one trial, from its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from search import lineage
from search.config import Config
from search.objectives import dice_of
from search.provenance import describe_software
from search.runner import DICE_BY_VOLUME, STARTED_FROM
from storage.checkpoints import Checkpoint, CheckpointStore
from trainer.device import configure_device
from trainer.errors import InputError
from trainer.model import Model, build_model


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
            return self.config.repeat_checkpoints
        return self.config.final_checkpoints if self.is_final else self.config.checkpoints


def build_trial_model(source: Source, winner: FrozenTrial, data: Mapping[str, Any]) -> Model:
    """Makes the model of a finished trial from its checkpoint.

    Args:
        source: Whose weights it has.
        winner: The trial of the search that it stands for.
        data: What is known of the study's.

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
    return build_model(
        source.config.build_space().for_voxels(data.get("voxel_size_nm")).complete(winner.params),
        checkpoint.arrays,
        threshold=float(checkpoint.facts["threshold"]),
        card=_card(source, winner, checkpoint, data),
    )


def _card(
    source: Source, winner: FrozenTrial, checkpoint: Checkpoint, data: Mapping[str, Any]
) -> dict[str, Any]:
    final = source.config.final if source.is_final else None
    return {
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


def _kept(facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A fact that not every trial has."""
    return {name: facts[name]} if name in facts else {}
