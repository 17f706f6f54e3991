"""One strategy on a recorded table of learning curves, from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import optuna

from benchmarks.curve_table import Row
from search.assignment import Assignment, EpochReport, Event
from search.budget import Budget
from search.coordinator import Coordinator
from search.curves import Curves
from search.memory_checkpoints import MemoryCheckpoints
from search.pruners import build_pruner, expected_epochs
from search.samplers import build_sampler
from search.simulation import SimulatedWorkers, VirtualClock
from search.space import Space
from search.terms import Terms
from trainer.hyperparameters import Hyperparameters

Journal = list[tuple[int, int]]
"""The row and the epoch of everything that was trained, in the order in which it was done."""


class Scores(Protocol):
    """What a row scored after each epoch that was trained."""

    @property
    def dice(self) -> Sequence[float]:
        """On the sections that a network is chosen by."""

    @property
    def heldout_dice(self) -> Sequence[float]:
        """On sections that took no part in the search."""


class Rows(Curves, Protocol):
    """Finds the row that a proposal is."""

    def visit(self, proposal: Hyperparameters) -> int:
        """Its index."""


class Table(Protocol):
    """Networks and their curves, recorded ones or such as are trained when they are asked for."""

    @property
    def rows(self) -> Sequence[Scores]:
        """By their indices."""

    @property
    def space(self) -> Space:
        """What proposals come from."""

    @property
    def epochs(self) -> int:
        """Of a row, to its end."""

    @property
    def tiles_per_epoch(self) -> int:
        """In tiles of 256 x 256."""

    @property
    def most_trials(self) -> int:
        """After which there is nothing left to try."""

    def one_at_a_time(self) -> Sequence[Row]:
        """What a person would try."""

    def visits(self) -> Rows:
        """What one search has seen; nothing yet."""


@dataclass(frozen=True)
class Strategy:
    """A sampler and a pruner, under the names that a config knows them by."""

    sampler: str
    pruner: str


STRATEGIES = {
    "random": Strategy("random", "none"),
    "random_asha": Strategy("random", "asha"),
    "tpe": Strategy("tpe", "none"),
    "tpe_hyperband": Strategy("tpe", "hyperband"),
    "tpe_asha": Strategy("tpe", "asha"),
    "tpe_async_hyperband": Strategy("tpe", "async_hyperband"),
}


@dataclass(frozen=True)
class Course:
    """What a search had found after each epoch that it paid for.

    Its choice is the best trial at full budget; until there is one, the best epoch so far.

    Attributes:
        dice: Of the choice, on the validation sections that it was chosen by.
        heldout_dice: Of the same network on sections that took no part in the search.
    """

    dice: tuple[float, ...]
    heldout_dice: tuple[float, ...]

    def first_at(self, dice: float) -> int | None:
        """The first epoch after which a choice was at least so good."""
        return next((epoch for epoch, each in enumerate(self.dice, 1) if each >= dice), None)


def replay(table: Table, strategy: Strategy, *, seed: int, slots: int, epochs: int) -> Journal:
    """Runs a search with its real coordinator, sampler and pruner on recorded epochs.

    Its first trials are `ideas_of(table)`.
    """
    budget = Budget(trials=table.most_trials, epochs=epochs)
    study = _create_study(strategy, seed, table.epochs)
    for params in ideas_of(table):
        study.enqueue_trial(params)
    return _run(table, study, strategy, budget, seed=seed, slots=slots)


def ideas_of(table: Table) -> list[dict[str, Any]]:
    """What every strategy tries first, as a config's `[[change]]`: what a person thought of.

    The last of a person's rows, the best values combined, is what came of trying the others.
    """
    return [dict(row.params) for row in table.one_at_a_time()[:-1]]


def replay_one_at_a_time(table: Table, *, slots: int) -> Journal:
    """Trains the rows that a person thought of, each to its end, in the order of the table."""
    strategy, rows = Strategy("random", "none"), table.one_at_a_time()
    study = _create_study(strategy, 0, table.epochs)
    for row in rows:
        study.enqueue_trial(dict(row.params))
    return _run(table, study, strategy, Budget(trials=len(rows)), seed=0, slots=slots)


def follow(table: Table, journal: Sequence[tuple[int, int]], *, epochs: int) -> Course:
    """Replays what was chosen after each epoch; a search that ended early keeps its choice."""
    finished = leading = (-1.0, -1.0)
    chosen: list[tuple[float, float]] = []
    for index, epoch in journal[:epochs]:
        row = table.rows[index]
        scores = row.dice[epoch - 1], row.heldout_dice[epoch - 1]
        if epoch == table.epochs:
            finished = max(finished, scores, key=_dice)
        leading = max(leading, scores, key=_dice)
        chosen.append(finished if finished[0] >= 0 else leading)
    chosen += [chosen[-1]] * (epochs - len(chosen))
    return Course(tuple(dice for dice, _ in chosen), tuple(heldout for _, heldout in chosen))


def _dice(scores: tuple[float, float]) -> float:
    return scores[0]


def _create_study(strategy: Strategy, seed: int, epochs: int) -> optuna.Study:
    return optuna.create_study(
        # Which bracket a trial is in is drawn from the study's name.
        study_name=f"replay-{seed}",
        direction="maximize",
        sampler=build_sampler(strategy.sampler, seed=seed),
        pruner=build_pruner(strategy.pruner, epochs=epochs),
    )


def _run(
    table: Table,
    study: optuna.Study,
    strategy: Strategy,
    budget: Budget,
    *,
    seed: int,
    slots: int,
) -> Journal:
    checkpoints = MemoryCheckpoints()
    workers = _ReplayWorkers(slots, table.visits(), checkpoints)
    terms = Terms(
        epochs=table.epochs,
        tiles_per_epoch=table.tiles_per_epoch,
        train_on="train",
        seed=seed,
        retries=2,
        keep=3,
        epochs_expected=expected_epochs(strategy.pruner, epochs=table.epochs),
        budget=budget,
    )
    coordinator = Coordinator(study, table.space, workers, checkpoints, terms, clock=workers.clock)
    ending = coordinator.run()
    if ending.kind != "done":
        raise RuntimeError(f"{strategy}: the search ended early: {ending.reason}")
    return workers.journal


class _ReplayWorkers(SimulatedWorkers):
    """Simulated workers that note what they have trained."""

    def __init__(self, slots: int, visits: Rows, checkpoints: MemoryCheckpoints) -> None:
        super().__init__(slots, visits, checkpoints, VirtualClock())
        self.journal: Journal = []
        self._visits = visits
        self._rows: dict[int, int] = {}

    def begin(self, assignment: Assignment) -> None:
        self._rows[assignment.trial] = self._visits.visit(assignment.hyperparameters)
        super().begin(assignment)

    def wait(self, seconds: float) -> list[Event]:
        events = super().wait(seconds)
        for event in events:
            if isinstance(event.outcome, EpochReport):
                self.journal.append((self._rows[event.trial], event.outcome.epoch))
        return events
