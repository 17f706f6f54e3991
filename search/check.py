"""What a search would do and cost, before it is started."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.config import Config
from search.data import StudyData, load_data
from search.estimate import estimate_cost, estimate_hours
from search.pruners import most_paused, rungs
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
    cluster = _check_cluster(config, data)
    device = configure_device(config.workers.cpus_per_trial)
    epoch_seconds, parameters = _time_epoch(config, data, device.precision)
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
        "disk_bytes": 2 * parameters * _BYTES_PER_PARAMETER * _checkpointed(config, slots),
    }


def _checkpointed(config: Config, slots: int) -> int:
    """Trials that have checkpoints at a time, the final training's included, at most."""
    study = config.study
    paused = most_paused(study.pruner, epochs=study.epochs_per_trial, keep_paused=study.keep_paused)
    return slots + study.keep + 1 + min(paused, config.budget.trials or paused)


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
    """Trials at a time on this machine."""
    workers = config.workers
    if workers.where == "inline":
        return 1
    slots = (os.cpu_count() or 1) // workers.cpus_per_trial
    if workers.gpus_per_trial:
        slots = min(slots, int(gpus / workers.gpus_per_trial + 1e-6))
    return max(1, slots)
