"""What a search would do and cost, before it is started."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.config import Config
from search.data import StudyData, load_data
from search.estimate import count_repeats, estimate_cost, estimate_hours
from search.memory_watch import room_bytes
from search.pruners import most_paused, rungs
from storage.database import database_from_environment
from storage.studies import open_study_storage
from trainer.device import Device, configure_device
from trainer.errors import InputError, TooLarge
from trainer.footprint import check_footprint
from trainer.hyperparameters import Hyperparameters

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
    cluster = _check_cluster(config, data)
    workers = config.workers
    device = configure_device(workers.cpus_per_trial, gpu_share=workers.gpus_per_trial or 1.0)
    epoch_seconds, parameters = _time_epoch(config, data, device)
    slots = cluster.slots if cluster else _slots(config, device.gpus)
    study = config.study
    return {
        "study": study.name,
        "data": data.to_json(),
        "notes": data.describe(),
        "database": database.shown,
        "device": {"name": device.name, "precision": device.precision, "slots": slots},
        "nodes": cluster and list(cluster.nodes),
        "rungs": rungs(study.pruner, epochs=study.epochs_per_trial),
        "parameters": parameters,
        "epoch_seconds": round(epoch_seconds, 2),
        "hours": (hours := estimate_hours(config, epoch_seconds, slots)),
        "cost": estimate_cost(config, hours["search_expected"] * slots),
        "finalists": {**config.finalists.model_dump(), "repeats": count_repeats(config)},
        "disk_bytes": 2 * parameters * _BYTES_PER_PARAMETER * _checkpointed(config, slots),
    }


def _checkpointed(config: Config, slots: int) -> int:
    """Trials that have checkpoints at a time, the final training's included, at most."""
    study = config.study
    kept = max(study.keep, config.finalists.count) + count_repeats(config)
    paused = most_paused(study.pruner, epochs=study.epochs_per_trial, keep_paused=study.keep_paused)
    return slots + kept + 1 + min(paused, config.budget.trials or paused)


@dataclass(frozen=True)
class _Cluster:
    nodes: Sequence[Mapping[str, Any]]
    slots: int


def _check_cluster(config: Config, data: StudyData) -> _Cluster | None:
    """Asks the nodes of the cluster at `RAY_ADDRESS`; None where a search would start its own."""
    if config.workers.where == "inline" or not os.environ.get("RAY_ADDRESS"):
        return None
    from search.node_check import check_nodes
    from search.ray_cluster import ClusterView, ray_cluster

    workers = config.workers
    with ray_cluster():
        nodes = check_nodes(data.volume, config.study.runs)
        return _Cluster(nodes, ClusterView().room(workers.cpus_per_trial, workers.gpus_per_trial))


def _time_epoch(config: Config, data: StudyData, device: Device) -> tuple[float, int]:
    """Seconds of an epoch of the space's middle, its first and slow step left out."""
    # Loads the framework, which what is wrong with the input does not have to wait for.
    from trainer.session import TrainingPlan, TrainingSession

    middle = config.build_space().for_voxels(data.volume.voxel_size_nm).middle()
    _check_middle(middle, device, config)
    # A 3D network sees no single section.
    validation = data.split.validation[: middle.tile_sections if middle.is_3d else 1]
    plan = TrainingPlan(
        epochs=2,
        tiles_per_epoch=_TIMED_TILES,
        train=data.split.train,
        validation=validation,
        seed=config.study.seed,
    )
    session = TrainingSession(data.volume, middle, plan, precision=device.precision)
    session.advance()
    started = time.monotonic()
    session.advance()
    elapsed, parameters = time.monotonic() - started, session.parameters
    session.close()
    tile = elapsed / (_TIMED_TILES + _tiles_of_a_section(data) * len(validation))
    # A voxel is validated at about a quarter of the cost of training on it.
    validated = _tiles_of_a_section(data) * len(data.split.validation) / 4
    return tile * (config.study.tiles_per_epoch + validated), parameters


def _check_middle(middle: Hyperparameters, device: Device, config: Config) -> None:
    """Refuses to time a network that this machine has not the memory for."""
    gigabytes = config.workers.memory_gb_per_trial
    room = room_bytes(None if gigabytes is None else round(gigabytes * 1e9), device)
    if room is None:
        return
    try:
        check_footprint(middle, device.precision, room)
    except TooLarge as error:
        raise InputError(
            f"space: expected a space whose middle fits this device; {error}"
        ) from None


def _tiles_of_a_section(data: StudyData) -> float:
    return float(data.volume.raw[0].size) / 65536


def _slots(config: Config, gpus: int) -> int:
    """Trials at a time on this machine."""
    workers = config.workers
    if workers.where == "inline":
        return 1
    slots = (os.cpu_count() or 1) // workers.cpus_per_trial
    if workers.gpus_per_trial:
        slots = min(slots, int(gpus / workers.gpus_per_trial + 1e-6))
    return max(1, slots)
