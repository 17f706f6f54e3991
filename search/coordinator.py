"""The loop of a search: ask, begin, advance, report, prune or tell, until the budget is spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from search import lineage
from search.assignment import Begun, EpochReport, Event, Failure
from search.constraints import ConstraintWatch, set_constraints
from search.errors import ClusterLost, first_line
from search.objectives import report_epoch, values_of
from search.promotion import Promotions
from search.retention import Retention
from search.room import RoomWatch
from search.samplers import is_exhausted
from search.space import Space
from search.standing import Standing, take_stock, write_spent
from search.streak import FailureStreak
from search.terms import Ending, Terms
from search.trial_queue import TrialQueue
from search.workers import Workers
from storage.checkpoints import CheckpointStore
from storage.errors import StorageError

_WAIT_SECONDS = 1.0
_EXCHANGE_SECONDS = 1.0


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
        together: Callable[[], AbstractContextManager[object]] = nullcontext,
        flush: Callable[[], None] = lambda: None,
        exhibit: Callable[[optuna.Trial], None] = lambda trial: None,
        exchange: Callable[[], None] = lambda: None,
        show: Callable[[Standing], None] = lambda standing: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepares a search.

        Args:
            study: With its sampler and pruner.
            space: What the sampler is asked for.
            workers: Where trials run.
            checkpoints: The same that the workers write to.
            terms: What every trial is run under.
            stop_requested: Whether somebody has asked for the end.
            together: A block at whose end all ends of trials in it are durable at the latest.
            flush: Makes durable what was written to the study: called before a trial is begun.
            exhibit: Called with every trial that is about to end, to add what people look at.
            exchange: Called about once a second: keeps the study's lock, writes what is still to
                be written, and reads what others have written.
            show: Called after whatever happened.
            clock: Seconds, for all that a search is charged for.
        """
        self._study = study
        self._space = space
        self._workers = workers
        self._checkpoints = checkpoints
        self._terms = terms
        self._stop_requested = stop_requested
        self._together = together
        self._flush = flush
        self._exhibit = exhibit
        self._exchange = exchange
        self._show = show
        self._clock = clock
        self._retention = Retention(checkpoints, keep=terms.keep)
        self._promotions = Promotions(study)
        self._queue = TrialQueue(study, self._promotions, terms.budget)
        self._running: dict[int, optuna.Trial] = {}
        self._watch = ConstraintWatch(terms.constraints)
        self._streak = FailureStreak()
        self._ending: Ending | None = None
        self._room = RoomWatch(clock)
        self._charged_until = clock()
        self._exchanged_at = 0.0
        self.standing = Standing(epochs_each=terms.epochs_expected)

    def run(self) -> Ending:
        """Runs trials until the budget is spent, a stop is asked for, or nothing works."""
        try:
            return self._run()
        except (StorageError, ClusterLost) as error:
            # A full disk, another's lock, no cluster: what runs here goes on at a restart.
            return Ending("interrupted" if self._stop_requested() else "failed", str(error))
        except (StorageInternalError, SQLAlchemyError) as error:
            cause = first_line(error.__cause__ or error)
            return Ending("failed", f"the study database failed: {cause}")

    def _run(self) -> Ending:
        lineage.recover(self._study)
        self._promotions.load(self._checkpoints.trials())
        paused = self._promotions.paused()
        self._retention.sweep(self._study, epochs=self._terms.epochs, paused=paused)
        self.standing = take_stock(
            self._study,
            epochs=self._terms.epochs,
            epochs_each=self._terms.epochs_expected,
            paused=paused,
        )
        all_begun = self._take_turn([])
        while self._running or not all_begun:
            self._wait_for_room()
            events = self._workers.wait(_WAIT_SECONDS)
            self._charge()
            self._exchange_now_and_then()
            all_begun = self._take_turn(events)
            self._show(self.standing)
        self._charge()
        write_spent(self._study, self.standing.spent)
        of = "plan" if is_exhausted(self._study) else "budget"
        return self._ending or Ending("done", f"every trial of the {of} has ended")

    def _take_turn(self, events: Sequence[Event]) -> bool:
        """Handles what workers have said and begins trials, and tells whether none is left.

        What ends is written with what begins in its place.
        """
        with self._together():
            for event in events:
                self._handle(event)
            self._look_for_an_end()
            all_begun = self._ending is not None or self._begin_trials()
        # Only now is it certain that nobody goes on from them.
        self._retention.tidy()
        return all_begun

    def _begin_trials(self) -> bool:
        """Gives every free worker a trial, and tells whether none is left to begin."""
        while self._workers.free() > 0:
            # Any number of trials can turn out to be infeasible before one keeps a worker busy.
            self._look_for_an_end()
            if self._ending is not None:
                return True
            trial = self._queue.take(self.standing)
            if trial is None:
                return True
            self._begin(trial)
        # Where nothing is to be begun, nobody waits for room.
        return not self._running and self._queue.is_empty(self.standing)

    def _begin(self, trial: optuna.Trial) -> None:
        known = trial.storage.get_trial(trial._trial_id)
        enqueued = lineage.enqueued_values(known)
        try:
            self._space.check(enqueued, "enqueued")
            hyperparameters = self._space.suggest(trial)
        except ValueError as error:
            # Only a trial that somebody enqueued can be impossible: the space was checked.
            if not enqueued:
                raise
            self._fail(trial, Failure("error", first_line(error)))
            return
        excesses = self._terms.constraints.before(hyperparameters)
        if broken := self._terms.constraints.describe_broken(excesses):
            self._end_infeasible(trial, broken, excesses)
            self._charge()
            return
        # Its checkpoints would be worth nothing if nobody knew any more what was trained.
        self._flush()
        lineage.inherit_checkpoint(trial, self._checkpoints)
        self._running[trial.number] = trial
        self.standing.running[trial.number] = 0
        self._workers.begin(self._terms.assign(known, hyperparameters))

    def _wait_for_room(self) -> None:
        self._ending = self._room.look(running=bool(self._running)) or self._ending
        if not self._running:
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
            self._retention.ended(trial.number)

    def _settle(self, trial: optuna.Trial, outcome: Begun | EpochReport | Failure) -> None:
        if isinstance(outcome, Failure):
            self._end_failed(trial, outcome)
        elif isinstance(outcome, EpochReport):
            self._take(trial, outcome)
        elif outcome.last is not None:
            trial.set_user_attr(lineage.INHERITED, outcome.last.epoch)
            self._watch.inherit(trial.number, outcome.last.epoch)
            self._take(trial, outcome.last)
        elif self._ending is not None:
            self._end_for_now(trial)
        else:
            self._workers.advance(trial.number)

    def _report(self, trial: optuna.Trial, report: EpochReport, *, judged: bool) -> bool:
        """Reports the epoch, and those that the trial inherited with its checkpoint.

        Returns:
            Whether the pruner stops the trial now. It is asked about every epoch, since it keeps
            the value at each rung to judge the others by.
        """
        reported, pruned = self.standing.running[trial.number], False
        for epoch in range(reported + 1, report.epoch + 1):
            pruned = report_epoch(trial, report.history[epoch - 1], epoch, judged=judged)
        self.standing.running[trial.number] = report.epoch
        self.standing.lead(report.value)
        return pruned

    def _take(self, trial: optuna.Trial, report: EpochReport) -> None:
        """Reports the epoch, and ends the trial or lets it go on."""
        last, constraints = report.epoch >= self._terms.epochs, self._terms.constraints
        excesses = self._watch.take(trial.number, report.epoch, report.facts, last=last)
        broken = constraints.describe_broken(excesses)
        # No trial is measured by one that may turn out to be infeasible.
        judged = broken is None and constraints.are_known(excesses)
        pruned = self._report(trial, report, judged=judged)
        if broken is not None:
            self._tell(trial, report, excesses, broken)
            self._ended_pruned(trial)
        elif last:
            self._complete(trial, report, excesses)
        elif pruned:
            self._stop(trial, report, excesses)
        elif self._ending is not None:
            self._end_for_now(trial)
        else:
            self._workers.advance(trial.number)

    def _complete(
        self, trial: optuna.Trial, report: EpochReport, excesses: Mapping[str, float]
    ) -> None:
        values = self._tell(trial, report, excesses)
        self._ended(trial, TrialState.COMPLETE)
        self.standing.finish(trial.number, report.value)
        self._retention.finished(trial.number, values)

    def _stop(
        self, trial: optuna.Trial, report: EpochReport, excesses: Mapping[str, float]
    ) -> None:
        """Ends a trial at a rung: for good, or until it turns out to be among the best."""
        done = f"after {report.epoch} of {self._terms.epochs} epochs"
        if not self._promotions.can_pause(report.value):
            self._tell(trial, report, excesses, f"stopped by the pruner {done}")
            self._ended_pruned(trial)
            return
        trial.set_user_attr(lineage.PAUSED, True)
        self._tell(trial, report, excesses, f"paused {done}")
        self._ended(trial, None)
        forgotten = self._promotions.pause(trial.storage.get_trial(trial._trial_id))
        if forgotten is None:
            self.standing.paused += 1
        else:
            self.standing.end(TrialState.PRUNED)
            self._retention.ended(forgotten)

    def _ended_pruned(self, trial: optuna.Trial) -> None:
        self._ended(trial, TrialState.PRUNED)
        self._retention.ended(trial.number)

    def _tell(
        self,
        trial: optuna.Trial,
        report: EpochReport,
        excesses: Mapping[str, float],
        reason: str | None = None,
    ) -> list[float]:
        """Ends a trial at full budget, or before it for a reason; returns its objectives."""
        facts: Mapping[str, Any] = {**report.facts, **({lineage.REASON: reason} if reason else {})}
        for name, value in facts.items():
            trial.set_user_attr(name, value)
        set_constraints(trial, excesses)
        self._exhibit(trial)
        values = values_of(report.value, report.facts, self._terms.second_objective)
        state = TrialState.PRUNED if reason else TrialState.COMPLETE
        self._study.tell(trial, None if reason else values, state=state)
        self._workers.release(trial.number)
        self._streak.clear()
        return values

    def _end_failed(self, trial: optuna.Trial, failure: Failure) -> None:
        if failure.kind == "storage":
            # Every other trial would meet the same full disk: nothing more is begun.
            self._ending = self._ending or Ending("failed", failure.reason)
            self._go_on_later(trial, failure.reason)
        elif failure.kind == "unplaced":
            # Whoever holds the cluster may hold it for long; this costs no attempt, and no money.
            self._ending = self._ending or Ending("failed", failure.reason)
            self._go_on_later(trial, failure.reason)
        elif failure.kind == "lost" and lineage.attempt(trial) < self._terms.retries:
            self._go_on_later(trial, failure.reason, lost=True)
        elif failure.kind == "memory":
            self._end_infeasible(trial, failure.reason, {failure.kind: 1.0})
        else:
            self._fail(trial, failure)
            self._ending = self._ending or self._streak.take(failure)

    def _end_infeasible(
        self, trial: optuna.Trial, reason: str, excesses: Mapping[str, float]
    ) -> None:
        """Tells the sampler that the like of it can never succeed: it learns nothing from FAIL."""
        trial.set_user_attr(lineage.REASON, reason)
        trial.set_user_attr(lineage.FAILURE, min(excesses, default="limits"))
        set_constraints(trial, excesses)
        self._exhibit(trial)
        self._study.tell(trial, state=TrialState.PRUNED)
        self._streak.clear()
        self._ended_pruned(trial)

    def _fail(self, trial: optuna.Trial, failure: Failure) -> None:
        trial.set_user_attr(lineage.REASON, failure.reason)
        trial.set_user_attr(lineage.FAILURE, failure.kind)
        if failure.traceback:
            trial.set_user_attr("traceback", failure.traceback)
        self._exhibit(trial)
        self._study.tell(trial, state=TrialState.FAIL)
        self._ended(trial, TrialState.FAIL)
        self._retention.ended(trial.number)

    def _end_for_now(self, trial: optuna.Trial) -> None:
        self._go_on_later(trial, self._ending.reason if self._ending else "stopped")
        self._workers.release(trial.number)

    def _go_on_later(self, trial: optuna.Trial, reason: str, *, lost: bool = False) -> None:
        self._exhibit(trial)
        lineage.end_for_now(self._study, trial, reason, lost=lost)
        lineage.enqueue_continuation(self._study, trial)
        self._ended(trial, None)

    def _ended(self, trial: optuna.Trial, state: TrialState | None) -> None:
        """Forgets a trial; without a state it can go on as another one, and is not counted."""
        self._watch.forget(trial.number)
        self._running.pop(trial.number, None)
        self.standing.running.pop(trial.number, None)
        if state is not None:
            self.standing.end(state)

    def _look_for_an_end(self) -> None:
        if self._ending is not None:
            return
        if self._stop_requested():
            self._ending = Ending("interrupted", "interrupted")
            return
        reason = self._terms.budget.spent_by(self.standing.spent)
        if reason is not None:
            self._ending = Ending("done", reason)

    def _charge(self) -> None:
        """Adds the time since the last call to what the search has cost."""
        now, spent = self._clock(), self.standing.spent
        passed, self._charged_until = now - self._charged_until, now
        spent.seconds += passed
        holding = len(self._running) - self._workers.unplaced()
        spent.device_seconds += passed * holding * self._terms.devices_per_trial

    def _exchange_now_and_then(self) -> None:
        now = time.monotonic()
        if now - self._exchanged_at >= _EXCHANGE_SECONDS:
            write_spent(self._study, self.standing.spent)
            self._exchange()
            self._exchanged_at = time.monotonic()
