"""What a search would do and cost, before it is started."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.config import Config
from search.data import StudyData, load_data
from search.disk import estimate_disk_bytes
from search.errors import no_room
from search.estimate import count_repeats, estimate_hours, estimate_parts, estimate_price
from search.first_runs import first_runs
from search.memory_watch import room_bytes
from search.pruners import rungs
from search.rehearsal import rehearse
from search.strategy import describe_strategy
from search.study import build_study_sampler
from search.timing import Timing, time_networks
from storage.database import database_from_environment
from storage.studies import open_study_storage
from trainer.cores import usable_cores
from trainer.device import Device, configure_device
from trainer.errors import InputError, TooLarge
from trainer.footprint import check_footprint, count_weights
from trainer.hyperparameters import Hyperparameters


def check(config: Config) -> dict[str, Any]:
    """Validates config, data, database and device, and times epochs to estimate the price.

    The estimate is for the network called default, on this machine; where that one does not fit
    into its memory, for the smallest. The most that a search can take is by the longest epoch.

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
        "parameters": timing.parameters,
        "epoch_seconds": round(timing.epoch_seconds or 0.0, 2),
        "finalists": {**config.finalists.model_dump(), "repeats": count_repeats(config)},
        **_forecast(config, timings, slots, slots_of_a_node),
        "disk_bytes": estimate_disk_bytes(
            config, _kept_weights(config, data, device, timing), slots
        ),
    }


def _forecast(
    config: Config, timings: Sequence[Timing], slots: int, slots_of_a_node: int | None
) -> dict[str, Any]:
    """What the search, its repeats and its final training would take and cost."""
    seconds = _typical(timings).epoch_seconds or 0.0
    rehearsal = rehearse(config, seconds, slots)
    each = rehearsal.epochs_each if rehearsal else ()
    price = estimate_price(config, seconds, slots, epochs_each=each)
    return {
        "rehearsal": rehearsal and rehearsal.to_json(),
        "hours": estimate_hours(
            config,
            seconds,
            slots,
            slots_of_a_node=slots_of_a_node,
            longest_seconds=max(timing.epoch_seconds or 0.0 for timing in timings),
            epochs_each=each,
        ),
        "cost": {name: price["search"][name] for name in ("device_hours", "money")},
        "parts": estimate_parts(
            config, seconds, slots, slots_of_a_node=slots_of_a_node, epochs_each=each
        ),
        "price": price,
    }


def _kept_weights(config: Config, data: StudyData, device: Device, timing: Timing) -> int:
    """Weights of the largest of the networks that checkpoints are known to be of.

    That is the default one and those that the search begins with, where they fit into memory.
    """
    space = config.build_space().for_voxels(data.voxel_size_nm)
    gigabytes = config.workers.memory_gb_per_trial
    room = room_bytes(None if gigabytes is None else round(gigabytes * 1e9), device)
    runs = first_runs(config, space, data.earlier)
    fitting = [run for run in runs if _fits(run, device.precision, room)]
    return max([timing.parameters, *map(count_weights, fitting)])


def _fits(run: Hyperparameters, precision: str, room: int | None) -> bool:
    try:
        if room is not None:
            check_footprint(run, precision, room)
    except TooLarge:
        return False
    return True


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
    cpus = usable_cores()
    slots = cpus // workers.cpus_per_trial
    if workers.gpus_per_trial:
        slots = min(slots, int(gpus / workers.gpus_per_trial + 1e-6))
    if slots < 1:
        raise no_room(workers.cpus_per_trial, workers.gpus_per_trial, machine=(cpus, gpus))
    return slots
