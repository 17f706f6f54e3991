"""The loop of a search: ask, begin, advance, report, prune or tell, until the budget is spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from search import lineage
from search.assignment import Assignment, Begun, EpochReport, Event, Failure
from search.budget import Budget, Spent
from search.space import Space
from search.workers import Workers
from storage.checkpoints import CheckpointStore
from storage.errors import StorageError

_WAIT_SECONDS = 1.0
_FAILURES_IN_A_ROW = 3
_ROOM_SECONDS = 300.0
SECONDS_SPENT = "seconds_spent"


@dataclass(frozen=True)
class Terms:
    """What every trial of a study is run under.

    Attributes:
        epochs: Of a trial's full budget.
        tiles_per_epoch: In tiles of 256 x 256.
        train_on: `train` sections, or `all` but the holdout and its gap.
        seed: Of weights and tiles.
        retries: How often a trial may lose its worker and go on.
        keep: Finished trials whose checkpoints are kept, the best ones.
        epochs_expected: Of a trial, on average, as far as the pruner lets it.
        budget: When the search ends.
    """

    epochs: int
    tiles_per_epoch: int
    train_on: Literal["train", "all"]
    seed: int
    retries: int
    keep: int
    epochs_expected: float
    budget: Budget


@dataclass(frozen=True)
class Ending:
    """How a search ended.

    Attributes:
        kind: `done` (the budget is spent), `interrupted`, or `failed`.
        reason: One line.
    """

    kind: Literal["done", "interrupted", "failed"]
    reason: str


@dataclass
class Standing:
    """How a search stands, for whoever shows it.

    Attributes:
        running: Trials under way, and the epochs that each has done.
        counts: Ended trials by state, without those that go on as another one.
        best: The best trial at full budget so far, its number and value.
        leading: The best value of any epoch so far.
        spent: Against the budget.
        epochs_each: Of a trial, on average, as far as the pruner lets it.
    """

    running: dict[int, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    best: tuple[int, float] | None = None
    leading: float | None = None
    spent: Spent = field(default_factory=Spent)
    epochs_each: float = 0.0


class Coordinator:
    """The only process that runs trials of its study.

    Trials are asked of Optuna and run by workers. Everything about a trial is written before it
    is told, since a told trial cannot be changed.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: Space,
        workers: Workers,
        checkpoints: CheckpointStore,
        terms: Terms,
        *,
        stop_requested: Callable[[], bool] = lambda: False,
        keep_lock: Callable[[], None] = lambda: None,
        show: Callable[[Standing], None] = lambda standing: None,
    ) -> None:
        self._study = study
        self._space = space
        self._workers = workers
        self._checkpoints = checkpoints
        self._terms = terms
        self._stop_requested = stop_requested
        self._keep_lock = keep_lock
        self._show = show
        self._running: dict[int, optuna.Trial] = {}
        self._failures: list[str] = []
        self._ending: Ending | None = None
        self._without_room_since: float | None = None
        self._clock = time.monotonic()
        self.standing = Standing(epochs_each=terms.epochs_expected)

    def run(self) -> Ending:
        """Runs trials until the budget is spent, a stop is asked for, or nothing works."""
        try:
            return self._run()
        except StorageError as error:
            # A full disk, or a lock that is another's now: what runs here goes on at a restart.
            return Ending("failed", str(error))
        except (StorageInternalError, SQLAlchemyError) as error:
            cause = str(error.__cause__ or error).splitlines()[0]
            return Ending("failed", f"the study database failed: {cause}")

    def _run(self) -> Ending:
        lineage.recover(self._study)
        self._sweep_checkpoints()
        self._take_stock()
        while True:
            self._look_for_an_end()
            all_begun = self._ending is not None or self._begin_trials()
            if all_begun and not self._running:
                break
            self._wait_for_room()
            events = self._workers.wait(_WAIT_SECONDS)
            self._keep_lock()
            for event in events:
                self._handle(event)
            self._tick()
        return self._ending or Ending("done", "every trial of the budget has ended")

    def _begin_trials(self) -> bool:
        """Gives every free worker a trial, and tells whether none is left to begin."""
        while self._workers.free() > 0:
            trial = self._next_trial()
            if trial is None:
                return True
            self._begin(trial)
        return False

    def _next_trial(self) -> optuna.Trial | None:
        """One that goes on, which the budget has paid for already, or else a new one."""
        trial = lineage.take_continuation(self._study)
        if trial is None and self._terms.budget.allows_another(self.standing.spent):
            trial = self._study.ask()
            self.standing.spent.trials += 1
        return trial

    def _begin(self, trial: optuna.Trial) -> None:
        enqueued = lineage.enqueued_values(trial.storage.get_trial(trial._trial_id))
        try:
            self._space.check(enqueued, "enqueued")
            hyperparameters = self._space.suggest(trial)
        except ValueError as error:
            # Only a trial that somebody enqueued can be impossible: the space was checked.
            if not enqueued:
                raise
            self._fail(trial, Failure("error", str(error).splitlines()[0]))
            return
        lineage.inherit_checkpoint(trial, self._checkpoints)
        self._running[trial.number] = trial
        self.standing.running[trial.number] = 0
        self._workers.begin(
            Assignment(
                trial=trial.number,
                hyperparameters=hyperparameters,
                epochs=self._terms.epochs,
                tiles_per_epoch=self._terms.tiles_per_epoch,
                train_on=self._terms.train_on,
                seed=self._terms.seed,
            )
        )

    def _wait_for_room(self) -> None:
        """Nodes come and go; where none has come for minutes, the trials fit on none."""
        if self._running:
            self._without_room_since = None
            return
        now = time.monotonic()
        self._without_room_since = self._without_room_since or now
        if now - self._without_room_since >= _ROOM_SECONDS:
            self._ending = Ending(
                "failed",
                f"no worker had room for a trial in {_ROOM_SECONDS / 60:.0f} minutes; "
                "ask for fewer CPUs or GPUs in [workers]",
            )
        time.sleep(_WAIT_SECONDS)

    def _handle(self, event: Event) -> None:
        trial, outcome = self._running[event.trial], event.outcome
        if isinstance(outcome, EpochReport):
            self.standing.spent.epochs += 1
        # Before anything goes on: nobody waits for an epoch more than they have to.
        self._look_for_an_end()
        try:
            self._settle(trial, outcome)
        except UpdateFinishedTrialError:
            # Told by somebody else meanwhile, as the dashboard can: it ends as told.
            if not isinstance(outcome, Failure):
                self._workers.release(trial.number)
            self._ended(trial, trial.storage.get_trial(trial._trial_id).state)

    def _settle(self, trial: optuna.Trial, outcome: Begun | EpochReport | Failure) -> None:
        if isinstance(outcome, Failure):
            self._end_failed(trial, outcome)
        elif isinstance(outcome, EpochReport):
            self._take(trial, outcome)
        elif outcome.last is not None:
            trial.set_user_attr(lineage.INHERITED, outcome.last.epoch)
            self._take(trial, outcome.last)
        elif self._ending is not None:
            self._end_for_now(trial)
        else:
            self._workers.advance(trial.number)

    def _report(self, trial: optuna.Trial, report: EpochReport) -> bool:
        """Reports the epoch, and those that the trial inherited with its checkpoint.

        Returns:
            Whether the pruner stops the trial now. It is asked about every epoch, since it keeps
            the value at each rung to judge the others by.
        """
        reported, pruned = self.standing.running[trial.number], False
        for epoch in range(reported + 1, report.epoch + 1):
            trial.report(report.history[epoch - 1], epoch)
            pruned = trial.should_prune()
        self.standing.running[trial.number] = report.epoch
        self.standing.leading = max(report.value, self.standing.leading or 0.0)
        return pruned

    def _take(self, trial: optuna.Trial, report: EpochReport) -> None:
        """Reports the epoch, and ends the trial or lets it go on."""
        pruned = self._report(trial, report)
        if report.epoch >= self._terms.epochs:
            self._tell(trial, TrialState.COMPLETE, report)
        elif pruned:
            reason = f"stopped by the pruner after {report.epoch} of {self._terms.epochs} epochs"
            self._tell(trial, TrialState.PRUNED, report, reason)
        elif self._ending is not None:
            self._end_for_now(trial)
        else:
            self._workers.advance(trial.number)

    def _tell(
        self,
        trial: optuna.Trial,
        state: TrialState,
        report: EpochReport,
        reason: str | None = None,
    ) -> None:
        facts: Mapping[str, Any] = {**report.facts, **({lineage.REASON: reason} if reason else {})}
        for name, value in facts.items():
            trial.set_user_attr(name, value)
        complete = state is TrialState.COMPLETE
        self._study.tell(trial, report.value if complete else None, state=state)
        self._workers.release(trial.number)
        self._failures.clear()
        if complete and (self.standing.best is None or report.value > self.standing.best[1]):
            self.standing.best = (trial.number, report.value)
        self._ended(trial, state)
        self._discard_checkpoints(trial.number, complete)

    def _end_failed(self, trial: optuna.Trial, failure: Failure) -> None:
        if failure.kind == "storage":
            # Every other trial would meet the same full disk: nothing more is begun.
            self._ending = self._ending or Ending("failed", failure.reason)
            lineage.end_for_now(self._study, trial, failure.reason)
            lineage.enqueue_continuations(self._study)
            self._ended(trial, None)
        elif failure.kind == "lost" and lineage.attempt(trial) < self._terms.retries:
            lineage.end_for_now(self._study, trial, failure.reason, lost=True)
            lineage.enqueue_continuations(self._study)
            self._ended(trial, None)
        else:
            self._fail(trial, failure)
            self._count_failure(failure)

    def _fail(self, trial: optuna.Trial, failure: Failure) -> None:
        trial.set_user_attr(lineage.REASON, failure.reason)
        if failure.traceback:
            trial.set_user_attr("traceback", failure.traceback)
        self._study.tell(trial, state=TrialState.FAIL)
        self._ended(trial, TrialState.FAIL)
        self._checkpoints.delete(trial.number)

    def _count_failure(self, failure: Failure) -> None:
        """Ends the search when nothing but the same failure comes back."""
        if failure.kind == "diverged":
            return
        self._failures.append(failure.cause or failure.reason)
        last = self._failures[-_FAILURES_IN_A_ROW:]
        if len(last) == _FAILURES_IN_A_ROW and len(set(last)) == 1 and self._ending is None:
            self._ending = Ending(
                "failed", f"{_FAILURES_IN_A_ROW} trials in a row failed: {failure.reason}"
            )

    def _end_for_now(self, trial: optuna.Trial) -> None:
        reason = self._ending.reason if self._ending else "stopped"
        lineage.end_for_now(self._study, trial, reason)
        self._workers.release(trial.number)
        lineage.enqueue_continuations(self._study)
        self._ended(trial, None)

    def _ended(self, trial: optuna.Trial, state: TrialState | None) -> None:
        """Forgets a trial; without a state it goes on as another one, and is not counted."""
        self._running.pop(trial.number, None)
        self.standing.running.pop(trial.number, None)
        if state is not None:
            self.standing.counts[state.name] = self.standing.counts.get(state.name, 0) + 1

    def _discard_checkpoints(self, number: int, complete: bool) -> None:
        """Keeps the checkpoints of the best finished trials, and deletes the others'."""
        if not complete:
            self._checkpoints.delete(number)
            return
        for finished in self._candidates()[self._terms.keep :]:
            self._checkpoints.delete(finished)

    def _sweep_checkpoints(self) -> None:
        """Deletes what a kill between telling a trial and deleting its checkpoints has left."""
        wanted = set(self._candidates()[: self._terms.keep])
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            wanted.update(lineage.forerunners(self._study, trial))
        for number in set(self._checkpoints.trials()) - wanted:
            self._checkpoints.delete(number)

    def _candidates(self) -> list[int]:
        """Trials at full budget, the best first."""
        finished = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        ours = [trial for trial in finished if lineage.is_candidate(trial, self._terms.epochs)]
        ours.sort(key=lambda trial: trial.value or 0.0, reverse=True)
        return [trial.number for trial in ours]

    def _look_for_an_end(self) -> None:
        if self._ending is not None:
            return
        if self._stop_requested():
            self._ending = Ending("interrupted", "interrupted")
            return
        reason = self._terms.budget.spent_by(self.standing.spent)
        if reason is not None:
            self._ending = Ending("done", reason)

    def _take_stock(self) -> None:
        """Counts what earlier runs of this study have done."""
        spent = self.standing.spent
        spent.seconds = float(self._study.user_attrs.get(SECONDS_SPENT, 0.0))
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state is TrialState.WAITING:
                continue
            spent.trials += int(not lineage.is_continuation(trial))
            spent.epochs += lineage.epochs_of_its_own(trial)
            if not trial.user_attrs.get(lineage.GOES_ON):
                counts = self.standing.counts
                counts[trial.state.name] = counts.get(trial.state.name, 0) + 1
            if trial.intermediate_values:
                leading = max(trial.intermediate_values.values())
                self.standing.leading = max(leading, self.standing.leading or 0.0)
            if lineage.is_candidate(trial, self._terms.epochs) and trial.value is not None:
                best = self.standing.best
                if best is None or trial.value > best[1]:
                    self.standing.best = (trial.number, trial.value)

    def _tick(self) -> None:
        now = time.monotonic()
        self.standing.spent.seconds += now - self._clock
        self._clock = now
        self._study.set_user_attr(SECONDS_SPENT, round(self.standing.spent.seconds, 1))
        self._show(self.standing)
