"""A study on which one coordinator after the other runs, as after restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from fake_workers import FakeWorkers, learning_curve
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from search.assignment import Failure
from search.budget import Budget
from search.constraints import Constraints
from search.coordinator import Coordinator
from search.objectives import directions
from search.plan import Plan
from search.samplers import build_sampler
from search.space import Space, build_space
from search.standing import Standing
from search.terms import Ending, Terms
from storage.checkpoints import CheckpointStore

SPACE: Mapping[str, Any] = {
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "loss": ["bce", "dice"],
    "depth": 2,
}


LOST = Failure("lost", "the worker was lost: node 3 is gone")
DIVERGED = Failure("diverged", "the loss became nan in epoch 2")
TOO_LARGE = Failure("memory", "used 9.1 GB of its limit of 8 GB")
BROKEN = Failure("error", "TypeError: unhashable", "Traceback: all of it")
DISK_FULL = "epoch-1.npz could not be written (No space left on device): free some"
WAITING, RUNNING, FAIL = TrialState.WAITING, TrialState.RUNNING, TrialState.FAIL
COMPLETE, PRUNED = TrialState.COMPLETE, TrialState.PRUNED


def error(reason: str, cause: str = "") -> Failure:
    return Failure("error", reason, cause=cause)


class Clock:
    """A monotonic clock that goes on by an hour whenever somebody asks."""

    def __init__(self, step_seconds: float = 3600.0) -> None:
        self.now, self.step = 1000.0, step_seconds

    def __call__(self) -> float:
        self.now += self.step
        return self.now


class SearchRig:
    """Opens its study anew for every run: nothing is left of the process before but its data."""

    def __init__(self, open_storage: Callable[[], BaseStorage], folder: Path) -> None:
        self._open_storage = open_storage
        self._storage: BaseStorage | None = None
        self.checkpoints = CheckpointStore(folder / "trials")
        self.space: Space = build_space(SPACE)
        self.pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
        self.sampler, self.seed = "random", 0
        self.plan: Plan | None = None
        self.constraints = Constraints()
        self.second_objective: str | None = None
        self.epochs, self.keep, self.retries = 3, 2, 2
        self.shown: list[Standing] = []
        self.coordinator: Coordinator | None = None

    def study(self) -> optuna.Study:
        self._storage = self._open_storage()
        study = optuna.create_study(
            storage=self._storage,
            study_name="mito",
            directions=directions(self.second_objective),
            pruner=self.pruner,
            load_if_exists=True,
        )
        study.sampler = build_sampler(
            self.sampler,
            seed=self.seed,
            begun=len(study.trials),
            space=self.space,
            plan=self.plan,
        )
        return study

    def workers(self, slots: int = 1, script: Any = None, curve: Any = None) -> FakeWorkers:
        return FakeWorkers(self.checkpoints, slots, script or {}, curve or learning_curve)

    def run(
        self,
        budget: Budget,
        workers: FakeWorkers | None = None,
        stop_requested: Callable[[], bool] = lambda: False,
        study: optuna.Study | None = None,
        exchange: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Ending:
        self.coordinator = Coordinator(
            study or self.study(),
            self.space,
            workers or self.workers(),
            self.checkpoints,
            Terms(
                epochs=self.epochs,
                tiles_per_epoch=5,
                train_on="train",
                seed=11,
                retries=self.retries,
                keep=self.keep,
                epochs_expected=self.epochs,
                budget=budget,
                constraints=self.constraints,
                second_objective=self.second_objective,
            ),
            stop_requested=stop_requested,
            exchange=exchange,
            show=self.shown.append,
            clock=clock,
        )
        return self.coordinator.run()

    @property
    def standing(self) -> Standing:
        assert self.coordinator is not None
        return self.coordinator.standing

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """All trials, and what must hold of them whatever happened."""
        storage = self._storage or self._open_storage()
        trials = optuna.load_study(study_name="mito", storage=storage).get_trials()
        assert [trial.number for trial in trials] == list(range(len(trials)))
        for trial in trials:
            full = trial.last_step == self.epochs
            assert (trial.state is TrialState.COMPLETE) <= full
            if trial.state is TrialState.COMPLETE:
                assert trial.values[0] == trial.intermediate_values[self.epochs]
            steps = list(trial.intermediate_values)
            assert steps == list(range(1, len(steps) + 1))
            if trial.state is TrialState.FAIL:
                assert trial.user_attrs["reason"]
                assert "\n" not in trial.user_attrs["reason"]
        return [trial for trial in trials if not states or trial.state in states]
