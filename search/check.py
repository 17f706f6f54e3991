"""What a search would do and cost, before it is started."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.config import Config
from search.data import StudyData, load_data
from search.errors import no_room
from search.estimate import count_repeats, estimate_cost, estimate_hours, estimate_price
from search.pruners import most_paused, rungs
from search.strategy import describe_strategy
from search.study import build_study_sampler
from search.timing import Timing, time_networks
from storage.database import database_from_environment
from storage.studies import open_study_storage
from trainer.device import configure_device
from trainer.errors import InputError

_BYTES_PER_PARAMETER = 12
"""Of a checkpoint: a weight and Adam's two means, float32."""


def check(config: Config) -> dict[str, Any]:
    """Validates config, data, database and device, and times epochs to estimate the price.

    The estimate is for a network from the middle of the space, on this machine; where that one
    does not fit into its memory, for the smallest.

    Raises:
        InputError: The config or the data cannot be used.
        StorageError: The database cannot be used.
    """
    build_study_sampler(config, begun=0)
    data = load_data(config)
    database = database_from_environment(config.study.runs)
    open_study_storage(database)
    cluster = _check_cluster(config, data)
    workers = config.workers
    device = configure_device(workers.cpus_per_trial, gpu_share=workers.gpus_per_trial or 1.0)
    # Of a cluster whose nodes are yet to come, the first worker's.
    slots = max(1, cluster.slots) if cluster else _slots(config, device.gpus)
    timings = time_networks(config, data, device)
    timing = _typical(timings)
    epoch_seconds, parameters = timing.epoch_seconds or 0.0, timing.parameters
    slots_of_a_node = cluster.slots_of_a_node(workers.cpus_per_trial) if cluster else None
    study = config.study
    return {
        "study": study.name,
        "data": data.to_json(),
        "notes": [*data.describe(), *describe_strategy(config)],
        "database": database.shown,
        "device": {"name": device.name, "precision": device.precision, "slots": slots},
        "nodes": cluster and list(cluster.nodes),
        "rungs": rungs(study.pruner, epochs=study.epochs_per_trial, patience=study.patience_epochs),
        "networks": [each.to_json() for each in timings],
        "parameters": parameters,
        "epoch_seconds": round(epoch_seconds, 2),
        "hours": (
            hours := estimate_hours(
                config,
                epoch_seconds,
                slots,
                slots_of_a_node=slots_of_a_node,
            )
        ),
        "cost": estimate_cost(config, hours["search_expected"] * slots),
        "finalists": {**config.finalists.model_dump(), "repeats": count_repeats(config)},
        "price": estimate_price(config, epoch_seconds, slots),
        "disk_bytes": 2 * parameters * _BYTES_PER_PARAMETER * _checkpointed(config, slots),
    }


def _checkpointed(config: Config, slots: int) -> int:
    """Trials that have checkpoints at a time, the final training's included, at most."""
    study = config.study
    kept = config.kept_trials() + count_repeats(config)
    final = config.final.seeds if config.final else 0
    paused = most_paused(study.pruner, epochs=study.epochs_per_trial, keep_paused=study.keep_paused)
    return slots + kept + final + min(paused, config.budget.trials or paused)


def _typical(timings: Sequence[Timing]) -> Timing:
    """The timing of the middling network, or of the smallest where only that one fits.

    Raises:
        InputError: Not even the smallest network fits.
    """
    small, default, _ = timings
    for timing in (default, small):
        if timing.epoch_seconds is not None:
            return timing
    raise InputError(
        f"space: expected networks that fit into the memory of a worker, got {small.reason}; "
        "choose smaller ones"
    )


@dataclass(frozen=True)
class _Cluster:
    nodes: Sequence[Mapping[str, Any]]
    slots: int

    def slots_of_a_node(self, cpus: int) -> int:
        """Trials that the node with the most cores has room for."""
        return max([1, *(int(node["cpus"]) // cpus for node in self.nodes)])


def _check_cluster(config: Config, data: StudyData) -> _Cluster | None:
    """Asks the nodes of the cluster at `RAY_ADDRESS`; None where a search would start its own."""
    if config.workers.where == "inline" or not os.environ.get("RAY_ADDRESS"):
        return None
    from search.node_check import check_nodes
    from search.ray_cluster import ClusterView, ray_cluster

    workers = config.workers
    with ray_cluster():
        volumes = [each.volume for each in data.volumes]
        nodes = check_nodes(volumes, config.study.runs, data.earlier)
        return _Cluster(nodes, ClusterView().room(workers.cpus_per_trial, workers.gpus_per_trial))


def _slots(config: Config, gpus: int) -> int:
    """Trials at a time on this machine.

    Raises:
        InputError: It has no room for one.
    """
    workers = config.workers
    if workers.where == "inline":
        return 1
    cpus = os.cpu_count() or 1
    slots = cpus // workers.cpus_per_trial
    if workers.gpus_per_trial:
        slots = min(slots, int(gpus / workers.gpus_per_trial + 1e-6))
    if slots < 1:
        raise no_room(workers.cpus_per_trial, workers.gpus_per_trial, machine=(cpus, gpus))
    return slots
