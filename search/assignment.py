"""What passes between the coordinator and a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from search.study_volume import StudyVolume
from trainer.earlier_model import EarlierModel
from trainer.hyperparameters import Hyperparameters


@dataclass(frozen=True, eq=False)
class Task:
    """What all trials of a worker have in common.

    Attributes:
        volumes: To train on and to validate with, by their splits.
        checkpoints: Folder of the trials' checkpoints.
        threads: CPU cores of a worker.
        study: Its name, for the trials' logs.
        logs: Folder of the trials' logs; without it none are written.
        memory_bytes: What a worker may use before it is ended; no limit without it.
        gpu_share: Of a GPU that a worker has; from 1 on it is its own.
        artifacts: Folder of the trials' pictures; without it none are drawn.
        tensorboard: Folder of the trials' event files; without it none are written.
        earlier: The model whose weights trials of the same network begin with.
    """

    volumes: tuple[StudyVolume, ...]
    checkpoints: Path
    threads: int
    study: str = ""
    logs: Path | None = None
    memory_bytes: int | None = None
    gpu_share: float = 1.0
    artifacts: Path | None = None
    tensorboard: Path | None = None
    earlier: EarlierModel | None = None


@dataclass(frozen=True)
class Assignment:
    """A trial for a worker to run.

    Attributes:
        trial: Its number in the study; its checkpoints go by the same number.
        hyperparameters: The U-Net run.
        epochs: Of the full budget.
        tiles_per_epoch: In tiles of 256 x 256.
        train_on: `train` sections, or `all` but the holdout and its gap.
        seed: Of weights and tiles.
        fold: Which of the volumes' splits it is trained and judged by.
    """

    trial: int
    hyperparameters: Hyperparameters
    epochs: int
    tiles_per_epoch: int
    train_on: Literal["train", "all"]
    seed: int
    fold: int = 0


@dataclass(frozen=True)
class EpochReport:
    """One more epoch is done, and its checkpoint is written.

    Attributes:
        epoch: Epochs done so far.
        value: The objective: Dice on the validation sections.
        history: The objective after each epoch from the first to this one.
        facts: What is kept with the trial: loss, threshold, precision, recall, seconds.
    """

    epoch: int
    value: float
    history: tuple[float, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Begun:
    """The trial stands ready on its worker.

    Attributes:
        last: The epoch that it goes on from, where it had a checkpoint.
    """

    last: EpochReport | None


@dataclass(frozen=True)
class Failure:
    """The trial ended without a result.

    Attributes:
        kind: `lost` (worker or node gone: worth another attempt), `unplaced` (its worker has
            never begun, for want of room), `diverged` (no numbers any more, or collapsed to one
            class), `memory` (more than a worker may use, so that the
            trial can never succeed), `storage` (its checkpoint could not be written: the trial
            is sound), or `error` (of the program or its surroundings).
        reason: One line.
        traceback: Where there is one.
        cause: What it has in common with others of its kind; the reason, where nothing is given.
    """

    kind: Literal["lost", "unplaced", "diverged", "memory", "storage", "error"]
    reason: str
    traceback: str = ""
    cause: str = ""


@dataclass(frozen=True)
class Event:
    """What a worker has to say of its trial."""

    trial: int
    outcome: Begun | EpochReport | Failure
