"""How long an epoch takes on this machine, from a few steps of training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from search.config import Config
from search.data import StudyData
from search.errors import first_line
from search.extremes import largest, smallest
from search.first_runs import first_runs
from search.guard import is_out_of_memory
from search.memory_watch import room_bytes
from trainer.device import Device
from trainer.footprint import check_footprint, count_weights
from trainer.hyperparameters import Hyperparameters
from trainer.training_volume import TrainingVolume

if TYPE_CHECKING:
    from trainer.session import EpochMetrics, TrainingSession

_MOST_TILES = 8
"""Tiles of 256 x 256 in a step that is timed: larger batches take a voxel no longer."""
_ENOUGH_SECONDS = 3.0
_MOST_EPOCHS = 20
_HARMLESS_RATE = 1e-6


@dataclass(frozen=True)
class Timing:
    """What an epoch of a network takes.

    Attributes:
        network: `small`, `default` (the first that is tried, or else one from the middle of the
            space) or `largest`.
        parameters: Weights; nearly all of them where the network does not fit.
        epoch_seconds: Training and validation; None where it does not fit.
        reason: Why it does not fit.
    """

    network: str
    parameters: int
    epoch_seconds: float | None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As `check --json` prints it."""
        return asdict(self)


def time_networks(config: Config, data: StudyData, device: Device) -> list[Timing]:
    """Times an epoch of the smallest, a typical and the largest network of a space.

    One that does not fit into memory is said not to.
    """
    space = config.build_space().for_voxels(data.voxel_size_nm)
    known = first_runs(config, space, data.earlier)
    timed: dict[Hyperparameters, Timing] = {}
    timings = []
    for name, run in (
        ("small", smallest(space)),
        ("default", next(iter(known), space.middle())),
        ("largest", largest(space)),
    ):
        # Where no dimension changes the network, they are one and the same.
        if run not in timed:
            timed[run] = _time(config, data, device, run)
        timings.append(replace(timed[run], network=name))
    return timings


def _time(config: Config, data: StudyData, device: Device, run: Hyperparameters) -> Timing:
    try:
        gigabytes = config.workers.memory_gb_per_trial
        room = room_bytes(None if gigabytes is None else round(gigabytes * 1e9), device)
        if room is not None:
            check_footprint(run, device.precision, room)
        return _time_epoch(config, data, device, run, room)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return Timing("", count_weights(run), None, first_line(error))


def _time_epoch(
    config: Config, data: StudyData, device: Device, run: Hyperparameters, room: int | None
) -> Timing:
    # Loads the framework, which what is wrong with the input does not have to wait for.
    from trainer.session import TILE_VOXELS, TrainingPlan, TrainingSession

    step = _shortened(run, TILE_VOXELS)
    step_tiles = step.batch_size * math.prod(step.tile_shape) / TILE_VOXELS
    # A 3D network sees no single section.
    few = run.tile_sections if run.is_3d else 1
    whole = [each.for_training() for each in data.volumes]
    timed = [replace(each, validation=each.validation[:few]) for each in whole]
    plan = TrainingPlan(_MOST_EPOCHS, max(1, round(step_tiles)), config.study.seed)
    threads = config.workers.cpus_per_trial
    session = TrainingSession(
        timed, step, plan, precision=device.precision, threads=threads, room_bytes=room
    )
    try:
        epochs = _timed_epochs(session)
        parameters, tiles = session.parameters, step_tiles * session.steps_per_epoch
    finally:
        # Also of a network that does not fit: the next one is to have the memory.
        session.close()
    share = _validated_sections(whole) / _validated_sections(timed)
    seconds = _whole_epoch(epochs, tiles, config.study.tiles_per_epoch, share)
    return Timing("", parameters, seconds)


def _whole_epoch(
    epochs: Sequence[EpochMetrics], tiles: float, planned: int, sections_share: float
) -> float:
    """Seconds of an epoch of `planned` tiles, from some of `tiles` each that saw fewer sections."""
    from trainer.session import MEASURED_TILES

    training = fmean(each.training_seconds for each in epochs)
    validation = fmean(each.validation_seconds for each in epochs)
    statistics = fmean(each.seconds for each in epochs) - training - validation
    return (
        training * planned / tiles
        + statistics * min(planned, MEASURED_TILES) / min(tiles, MEASURED_TILES)
        + validation * sections_share
    )


def _timed_epochs(session: TrainingSession) -> list[EpochMetrics]:
    # The first epoch compiles.
    session.advance()
    epochs: list[EpochMetrics] = []
    while len(epochs) < _MOST_EPOCHS - 1 and sum(e.seconds for e in epochs) < _ENOUGH_SECONDS:
        epochs.append(session.advance())
    return epochs


def _shortened(run: Hyperparameters, tile_voxels: int) -> Hyperparameters:
    """The run in steps that do not take long, and at a rate that no loss leaves the numbers by."""
    most = max(1, _MOST_TILES * tile_voxels // math.prod(run.tile_shape))
    return replace(run, batch_size=min(run.batch_size, most), learning_rate=_HARMLESS_RATE)


def _validated_sections(volumes: Sequence[TrainingVolume]) -> int:
    return sum(len(each.validation) for each in volumes)
