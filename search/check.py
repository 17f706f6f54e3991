"""What a search would do and cost, before it is started."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from search.config import Config
from search.data import StudyData, load_data
from search.pruners import expected_epochs, rungs
from storage.database import database_from_environment
from storage.studies import open_study_storage
from trainer.device import configure_device

_TIMED_TILES = 48
_BYTES_PER_PARAMETER = 12
"""Of a checkpoint: a weight and Adam's two means, float32."""


def check(config: Config) -> dict[str, Any]:
    """Validates config, data, database and device, and times an epoch to estimate the cost.

    The estimate is for a network from the middle of the space, on this machine.

    Raises:
        InputError: The config or the data cannot be used.
        StorageError: The database cannot be used.
    """
    data = load_data(config)
    database = database_from_environment(config.study.runs)
    open_study_storage(database)
    device = configure_device(config.workers.cpus_per_trial)
    epoch_seconds, parameters = _time_epoch(config, data, device.precision)
    slots = _slots(config, device.gpus)
    study = config.study
    return {
        "study": study.name,
        "data": data.to_json(),
        "notes": data.describe(),
        "database": database.shown,
        "device": {"name": device.name, "precision": device.precision, "slots": slots},
        "rungs": rungs(study.pruner, epochs=study.epochs_per_trial),
        "parameters": parameters,
        "epoch_seconds": round(epoch_seconds, 2),
        "hours": _hours(config, epoch_seconds, slots),
        "disk_bytes": 2 * parameters * _BYTES_PER_PARAMETER * (slots + study.keep + 1),
    }


def _time_epoch(config: Config, data: StudyData, precision: str) -> tuple[float, int]:
    """Seconds of an epoch of the space's middle, its first and slow step left out."""
    # Loads the framework, which what is wrong with the input does not have to wait for.
    from trainer.session import TrainingPlan, TrainingSession

    plan = TrainingPlan(
        epochs=2,
        tiles_per_epoch=_TIMED_TILES,
        train=data.split.train,
        validation=data.split.validation[:1],
        seed=config.study.seed,
    )
    session = TrainingSession(data.volume, config.build_space().middle(), plan, precision=precision)
    session.advance()
    started = time.monotonic()
    session.advance()
    elapsed, parameters = time.monotonic() - started, session.parameters
    session.close()
    tile = elapsed / (_TIMED_TILES + _tiles_of_a_section(data))
    # A voxel is validated at about a quarter of the cost of training on it.
    validated = _tiles_of_a_section(data) * len(data.split.validation) / 4
    return tile * (config.study.tiles_per_epoch + validated), parameters


def _tiles_of_a_section(data: StudyData) -> float:
    return float(data.volume.raw[0].size) / 65536


def _slots(config: Config, gpus: int) -> int:
    """Trials at a time on this machine; a cluster's other nodes are not counted."""
    workers = config.workers
    if workers.where == "inline":
        return 1
    slots = (os.cpu_count() or 1) // workers.cpus_per_trial
    if workers.gpus_per_trial:
        slots = min(slots, int(gpus / workers.gpus_per_trial + 1e-6))
    return max(1, slots)


def _hours(config: Config, epoch_seconds: float, slots: int) -> dict[str, float | None]:
    """Expected hours of search and final training, and the most that the search can take."""
    study, budget = config.study, config.budget
    each = expected_epochs(study.pruner, epochs=study.epochs_per_trial)
    limits = [budget.epochs] if budget.epochs else []
    expected = [*limits, *([budget.trials * each] if budget.trials else [])]
    most = [*limits, *([budget.trials * study.epochs_per_trial] if budget.trials else [])]
    # Alone it has all cores, but no more GPUs than a trial of the search.
    alone = 1 if config.workers.gpus_per_trial else slots
    final = config.final.epochs * epoch_seconds / alone if config.final else 0.0
    return {
        "search_expected": _bounded(expected, epoch_seconds / slots, budget.hours),
        "search_at_most": _bounded(most, epoch_seconds / slots, budget.hours),
        "final": round(final / 3600, 3),
    }


def _bounded(epochs: Sequence[float], seconds: float, hours: float | None) -> float | None:
    limits = [min(epochs) * seconds / 3600] if epochs else []
    return round(min([*limits, *([hours] if hours else [])]), 3)
