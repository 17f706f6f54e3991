"""This project's coordinator on trials that train nothing, wired as `unet-search run` wires it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import optuna
from optuna.storages import BaseStorage

from benchmarks.lap import WARM_UP, Lap, Stopwatch
from benchmarks.ledger import Ledger, public_methods
from benchmarks.noop import EPOCHS, SPACE, NoopRunner, build_task
from search.budget import Budget
from search.coordinator import Coordinator
from search.exhibits import Exhibits
from search.pruners import build_pruner, expected_epochs
from search.ray_workers import RayWorkers
from search.samplers import build_sampler
from search.standing import Standing
from search.terms import Terms
from storage.artifacts import ArtifactFolder
from storage.checkpoints import CheckpointStore
from storage.database import Database
from storage.lock import StudyLock
from storage.study_storage import StudyStorage

ACCOUNTS = ("sampler", "pruner", "storage", "ray", "rest")
_NAME = "ours"
# TensorFlow is what makes workers wear out, and there is none here. Ray Tune's live as long.
_TRIALS_PER_WORKER = 1_000_000


class OurSearch:
    """A study in PostgreSQL that is run block by block, as by one restart after the other."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        pruner: str = "hyperband",
        epochs: int = EPOCHS,
        runner: type = NoopRunner,
        seed: int = 0,
    ) -> None:
        self._folder = folder
        self._pruner, self._epochs, self._runner = pruner, epochs, runner
        self._storage = StudyStorage(database)
        self._lock = StudyLock(database, _NAME)
        self.study = optuna.create_study(
            storage=self._storage,
            study_name=_NAME,
            direction="maximize",
            sampler=build_sampler("tpe", seed=seed),
            pruner=build_pruner(pruner, epochs=epochs),
            load_if_exists=True,
        )

    def __enter__(self) -> Self:
        self._lock.acquire()
        self._storage.claim(_NAME)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()
        self._storage.close()

    def run(self, trials: int, *, warm_up: int = WARM_UP, ledger: Ledger | None = None) -> Lap:
        """Runs so many more trials.

        Args:
            trials: The warm-up included.
            warm_up: Trials that are not counted.
            ledger: Is charged with the time of the trials that are counted.

        Raises:
            RuntimeError: The search did not end as it should.
        """
        workers = RayWorkers(
            build_task(self._folder),
            cpus=1,
            trials_per_worker=_TRIALS_PER_WORKER,
            runner=self._runner,
        )
        # Without logs and sections, which these trials have none of.
        artifacts = ArtifactFolder(self._folder / "artifacts")
        exhibits = Exhibits(artifacts, None, epochs=EPOCHS)
        stopwatch = Stopwatch(ledger.reset if ledger else lambda: None, warm_up=warm_up)
        exchange = self._exchange
        if ledger:
            self._watch(ledger, workers)
            exchange = ledger.watched(exchange, "storage")
        before = len(self.study.get_trials(deepcopy=False))

        def show(standing: Standing) -> None:
            stopwatch.ended(sum(standing.counts.values()) - before)

        try:
            coordinator = Coordinator(
                self.study,
                SPACE,
                workers,
                CheckpointStore(self._folder),
                self._terms(before + trials),
                together=self._storage.together,
                flush=self._storage.flush,
                exhibit=exhibits.add,
                exchange=exchange,
                show=show,
            )
            ending = coordinator.run()
            # What is still to be written belongs to the trials that are counted.
            exchange()
            stopwatch.prolong()
            lap = stopwatch.lap(ledger.accounts() if ledger else None)
        finally:
            workers.close()
        if ending.kind != "done":
            raise RuntimeError(f"the search ended early: {ending.reason}")
        return lap

    def epochs(self) -> int:
        """Epochs of all trials so far."""
        trials = self.study.get_trials(deepcopy=False)
        return sum(len(trial.intermediate_values) for trial in trials)

    def _exchange(self) -> None:
        self._lock.keep()
        self._storage.refresh()

    def _watch(self, ledger: Ledger, workers: RayWorkers) -> None:
        study = self.study
        ledger.watch(study.sampler, public_methods(optuna.samplers.BaseSampler), "sampler")
        ledger.watch(study.pruner, ["prune"], "pruner")
        ledger.watch(self._storage, [*public_methods(BaseStorage), "flush"], "storage")
        ledger.watch(workers, public_methods(RayWorkers), "ray")

    def _terms(self, trials: int) -> Terms:
        return Terms(
            epochs=self._epochs,
            tiles_per_epoch=1,
            train_on="train",
            seed=0,
            retries=2,
            keep=5,
            epochs_expected=expected_epochs(self._pruner, epochs=self._epochs),
            budget=Budget(trials=trials),
        )
