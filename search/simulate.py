"""A search on simulated workers: how long it would take, and what it would cost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna
from pydantic import ValidationError

from search.config import Config, load_config
from search.coordinator import Coordinator
from search.curves import Curves, ParametricCurves
from search.estimate import count_repeats
from search.forecast import Forecast, build_forecast
from search.memory_checkpoints import MemoryCheckpoints
from search.mishaps import Mishaps
from search.recorded_curves import load_recorded_curves
from search.refusal import explain
from search.simulation import SimulatedWorkers, VirtualClock
from search.standing import Standing
from search.study import create_study, enqueue_starts
from search.terms import search_terms
from storage.checkpoints import CheckpointStore
from storage.database import database_from_environment
from storage.study_storage import StudyStorage
from trainer.errors import InputError

_SHOWN_SECONDS = 5.0
_DEFAULT: Mapping[str, Any] = {
    "study": {"name": "simulated", "epochs_per_trial": 9, "tiles_per_epoch": 1000},
    "budget": {"trials": 100},
    "data": {"phantom": {}},
    "space": {
        "learning_rate": {"low": 3e-4, "high": 3e-2, "log": True},
        "epsilon": {"low": 1e-8, "high": 1e-2, "log": True},
        "batch_size": [8, 16],
        "loss": ["bce", "dice", "log_dice", "bce_dice"],
        "normalization": ["batch", "none"],
        "depth": {"low": 2, "high": 4},
        "filters": [8, 16, 32],
        "tile_size": 64,
    },
}
"""What is searched where nobody says what."""


@dataclass(frozen=True)
class Assumptions:
    """What a config does not say, and a simulation has to be told.

    Attributes:
        slots: Trials at a time.
        epoch_seconds: Of a network from the middle of the space.
        curves: A file of trials to replay; made-up curves without it.
        lost_share: Of all epochs, how many lose their worker.
        memory_share: How many run out of memory.
        diverged_share: How many end with a diverged network.
        count_coordinator: Whether the coordinator's own work takes virtual time as well: what it
            takes here, on this machine.

    Raises:
        InputError: There are no slots, or epochs that take no time.
    """

    slots: int
    epoch_seconds: float = 60.0
    curves: Path | None = None
    lost_share: float = 0.0
    memory_share: float = 0.0
    diverged_share: float = 0.0
    count_coordinator: bool = False

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise InputError(f"--slots: expected at least 1, got {self.slots}")
        if not 0 < self.epoch_seconds < math.inf:
            raise InputError(
                f"--epoch-seconds: expected seconds above 0, got {self.epoch_seconds:g}; "
                "`unet-search check CONFIG` measures them"
            )


def load_simulated(path: Path | None, **changes: Any) -> Config:
    """Reads a configuration file, or takes a small space where there is none.

    Args:
        path: A TOML file.
        changes: Values from the command line, `section__key`; None leaves the file's.

    Raises:
        InputError: In one line, what is wrong with which key.
    """
    if path is not None:
        return load_config(path, **changes)
    table = deepcopy(dict(_DEFAULT))
    for name, value in changes.items():
        section, key = name.split("__")
        if value is not None:
            table[section][key] = value
    try:
        return Config.model_validate(table)
    except ValidationError as error:
        raise InputError(explain(error, Config)) from None


def simulate(
    config: Config, assumptions: Assumptions, announce: Callable[[str], None] = lambda line: None
) -> Forecast:
    """Runs a whole search with its real coordinator, sampler, pruner and storage.

    Only the workers and the time are made up. The study is written to a database of its own, which
    is deleted in the end.

    Args:
        config: Of the search; its data is not read.
        assumptions: What the config does not say.
        announce: Takes lines for the person who waits.

    Raises:
        InputError: The recorded curves cannot be used.
    """
    started, terms, checkpoints = time.monotonic(), search_terms(config), MemoryCheckpoints()
    workers = _build_workers(config, assumptions, checkpoints)
    if assumptions.curves is None:
        announce(
            f"an epoch of a middling network is taken to last {assumptions.epoch_seconds:g} s "
            "(--epoch-seconds); `unet-search check` measures it"
        )
    if coming := _comes_on_top(config):
        announce(f"{coming} come on top of what is told here")
    with TemporaryDirectory(prefix="unet-search-") as folder, _open(Path(folder)) as storage:
        study = _create_study(config, storage)
        coordinator = Coordinator(
            study,
            config.build_space(),
            workers,
            checkpoints,
            terms,
            exchange=storage.refresh,
            show=_Ticker(announce).show,
            clock=workers.clock,
        )
        ending = coordinator.run()
        wall_seconds = time.monotonic() - started
        return build_forecast(study, terms, workers, coordinator.standing, ending, wall_seconds)


def _comes_on_top(config: Config) -> str:
    """What follows a search and is not simulated."""
    repeats, epochs = count_repeats(config), config.study.epochs_per_trial
    parts = [f"{repeats} repeats of {epochs} epochs"] if repeats else []
    if config.final:
        most = "at most " if config.final.hours else ""
        parts.append(f"{most}{config.final.seeds * config.final.epochs} epochs of final training")
    return " and ".join(parts)


class _Ticker:
    """Says every few seconds how far a simulation has come."""

    def __init__(self, announce: Callable[[str], None]) -> None:
        self._announce = announce
        self._said = time.monotonic()

    def show(self, standing: Standing) -> None:
        now, spent = time.monotonic(), standing.spent
        if now - self._said >= _SHOWN_SECONDS:
            self._said = now
            self._announce(
                f"simulated so far: {spent.trials} trials begun, {sum(standing.counts.values())} "
                f"ended, {spent.seconds / 3600:.1f} hours"
            )


def _open(folder: Path) -> closing[StudyStorage]:
    return closing(StudyStorage(database_from_environment(folder, {})))


def _create_study(config: Config, storage: StudyStorage) -> optuna.Study:
    study = create_study(config, storage)
    storage.claim(study.study_name)
    # No model is read: of one to go on from only what stands beside it is known.
    enqueue_starts(study, config.starts())
    return study


def _build_workers(
    config: Config, assumptions: Assumptions, checkpoints: CheckpointStore
) -> SimulatedWorkers:
    return SimulatedWorkers(
        assumptions.slots,
        _build_curves(config, assumptions),
        checkpoints,
        VirtualClock(time.perf_counter) if assumptions.count_coordinator else VirtualClock(),
        mishaps=Mishaps(
            seed=config.study.seed,
            lost=assumptions.lost_share,
            memory=assumptions.memory_share,
            diverged=assumptions.diverged_share,
        ),
        trials_per_worker=config.workers.trials_per_worker,
    )


def _build_curves(config: Config, assumptions: Assumptions) -> Curves:
    space, epochs = config.build_space(), config.study.epochs_per_trial
    seconds = assumptions.epoch_seconds
    if assumptions.curves is not None:
        return load_recorded_curves(assumptions.curves, space, epochs=epochs, epoch_seconds=seconds)
    return ParametricCurves(space, epochs=epochs, epoch_seconds=seconds, seed=config.study.seed)
