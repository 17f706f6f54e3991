"""Trials that go on where another one was stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.plan import CHANGE
from storage.checkpoints import CheckpointStore
from storage.errors import CheckpointError

RETRIED_FROM = "retried_from"
PROMOTED_FROM = "promoted_from"
PROMOTED_AFTER = "promoted_after_epochs"
"""Up to there the pruner has had its say, and stays with a trial that goes on."""
PAUSED = "paused"
"""Set on a PRUNED that may be promoted, before it is told."""
ATTEMPT = "attempt"
REASON = "reason"
FAILURE = "failure"
"""What kind of failure a trial ended with for good."""
PLAN = "plan"
"""Tells final trainings and repeats of finalists apart."""
FINALIST = "finalist"
"""Of a repeat: the trial of the search that it repeats."""
SEED = "repeat_seed"
FOLD = "fold"
EPOCHS = "epochs"
"""Of a final training: its length, where that was left to the hours that it may take."""
ORIGIN = "origin"
"""The first trial of a line: all of it is judged in that one's bracket."""
INHERITED = "inherited_epochs"
GOES_ON = "goes_on"
"""Set on a FAIL whose work is worth going on with, before it is told."""
_STAYS = (PLAN, CHANGE, FINALIST, SEED, FOLD, EPOCHS, PROMOTED_AFTER)
"""What a trial that goes on has of its forerunner."""


def is_continuation(trial: FrozenTrial) -> bool:
    """Whether the trial goes on from another one, and so does not count towards the budget."""
    return forerunner(trial) is not None


def forerunner(trial: FrozenTrial | optuna.Trial) -> int | None:
    """The trial that this one goes on from, after an interruption or as a promotion of it."""
    attributes = trial.user_attrs
    before = attributes.get(RETRIED_FROM, attributes.get(PROMOTED_FROM))
    return None if before is None else int(before)


def promoted_after(trial: FrozenTrial) -> int:
    """Epochs after which the trial's line was promoted last; 0 where it never was."""
    return int(trial.user_attrs.get(PROMOTED_AFTER, 0))


def counts_towards_budget(trial: FrozenTrial) -> bool:
    """Whether the trial has begun, and begun anew."""
    return trial.state is not TrialState.WAITING and not is_continuation(trial)


def attempt(trial: FrozenTrial | optuna.Trial) -> int:
    """How many workers the trial and its forerunners have lost."""
    return int(trial.user_attrs.get(ATTEMPT, 0))


def is_candidate(trial: FrozenTrial, epochs: int) -> bool:
    """Whether the trial was run here to its full budget, and not told by somebody else."""
    return (
        trial.state is TrialState.COMPLETE
        and trial.last_step == trial.user_attrs.get(EPOCHS, epochs)
        and "threshold" in trial.user_attrs
    )


def origin(trial: FrozenTrial) -> int:
    """The number of the trial that this one's line began with; its own where it began anew."""
    return int(trial.user_attrs.get(ORIGIN, trial.number))


def enqueued_values(trial: FrozenTrial) -> dict[str, Any]:
    """The values that somebody gave the trial, in place of the sampler's."""
    return dict(trial.system_attrs.get("fixed_params", {}))


def recover(study: optuna.Study) -> int:
    """Ends every RUNNING trial as an orphan, and enqueues all that shall go on.

    Only the holder of the study's lock may call this: nobody else runs its trials, so a trial
    that is RUNNING at its start has lost its coordinator.

    Returns:
        How many trials were enqueued.
    """
    for orphan in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        # The public constructor is the one way to write to a trial of an earlier process.
        trial = optuna.Trial(study, orphan._trial_id)
        end_for_now(study, trial, "the coordinator ended while the trial was running")
    return enqueue_continuations(study)


def end_for_now(
    study: optuna.Study, trial: optuna.Trial, reason: str, *, lost: bool = False
) -> None:
    """Tells FAIL, and that the trial goes on as another one.

    Args:
        study: The trial's study.
        trial: A RUNNING trial.
        reason: One line.
        lost: Whether this counts as a lost worker.
    """
    trial.set_user_attr(ATTEMPT, attempt(trial) + int(lost))
    trial.set_user_attr(REASON, reason)
    trial.set_user_attr(GOES_ON, True)
    study.tell(trial, state=TrialState.FAIL)


def enqueue_continuations(study: optuna.Study) -> int:
    """Enqueues every trial that was ended for now and has no successor yet.

    A trial is told first and enqueued second; whatever comes between the two, this finds it.
    """
    trials = study.get_trials(deepcopy=False)
    continued = {trial.user_attrs.get(RETRIED_FROM) for trial in trials}
    waiting = [
        trial
        for trial in trials
        if trial.state is TrialState.FAIL
        and trial.user_attrs.get(GOES_ON)
        and trial.number not in continued
    ]
    for trial in waiting:
        enqueue_after(study, trial)
    return len(waiting)


def enqueue_continuation(study: optuna.Study, trial: optuna.Trial) -> None:
    """Enqueues what goes on from a trial that was just ended for now."""
    enqueue_after(study, trial.storage.get_trial(trial._trial_id))


def enqueue_promotion(study: optuna.Study, number: int) -> None:
    """Enqueues what goes on from a paused trial; once it is there, the trial is paused no more."""
    paused = study.get_trials(deepcopy=False)[number]
    link = {PROMOTED_FROM: number, PROMOTED_AFTER: paused.last_step}
    _enqueue(study, paused, {**_stays(paused), **link})


def promoted(trials: Iterable[FrozenTrial]) -> set[int]:
    """The numbers of the trials that others are promotions of."""
    numbers = (trial.user_attrs.get(PROMOTED_FROM) for trial in trials)
    return {int(number) for number in numbers if number is not None}


def enqueue_after(study: optuna.Study, trial: FrozenTrial) -> None:
    """Enqueues what goes on from a trial that was told FAIL."""
    _enqueue(study, trial, {**_stays(trial), RETRIED_FROM: trial.number})


def _stays(trial: FrozenTrial) -> dict[str, Any]:
    return {name: value for name, value in trial.user_attrs.items() if name in _STAYS}


def _enqueue(study: optuna.Study, trial: FrozenTrial, link: Mapping[str, Any]) -> None:
    # A trial that was killed while it was being asked for has only some of its values.
    values = {**enqueued_values(trial), **trial.params}
    line = {ATTEMPT: attempt(trial), ORIGIN: origin(trial)}
    study.enqueue_trial(values, user_attrs={**link, **line})


def take_continuation(study: optuna.Study) -> optuna.Trial | None:
    """Takes the first waiting trial that goes on from another one, whatever waits before it."""
    return _take_waiting(study, is_continuation)


def take_enqueued(study: optuna.Study) -> optuna.Trial | None:
    """Takes the first waiting trial that is no idea of the config's: somebody wants to see it."""
    return _take_waiting(study, lambda trial: CHANGE not in trial.user_attrs)


def _take_waiting(
    study: optuna.Study, wanted: Callable[[FrozenTrial], bool]
) -> optuna.Trial | None:
    for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        # What `ask` does with the first of all.
        if wanted(trial) and study._storage.set_trial_state_values(
            trial._trial_id, TrialState.RUNNING
        ):
            return optuna.Trial(study, trial._trial_id)
    return None


def inherit_checkpoint(trial: optuna.Trial, checkpoints: CheckpointStore) -> None:
    """Copies the newest checkpoint of its line, so that the trial goes on from there.

    Without a forerunner it has none: what lies under its number is of a study that was deleted.

    Raises:
        CheckpointError: It cannot be read at the moment, or not be copied; nothing is lost.
    """
    checkpoints.delete(trial.number)
    line = forerunners(trial.study, trial)
    for forerunner in line:
        # The nearest may have been killed before it inherited anything itself.
        if checkpoints.inherit(trial.number, forerunner) is not None:
            break
    else:
        return
    for forerunner in line:
        # What stays is deleted when the search is started again.
        with suppress(CheckpointError):
            checkpoints.delete(forerunner)


def forerunners(study: optuna.Study, trial: FrozenTrial | optuna.Trial) -> list[int]:
    """The trials that this one goes on from, the nearest first."""
    line: list[int] = []
    before = forerunner(trial)
    if before is None:
        return line
    trials = study.get_trials(deepcopy=False)
    while before is not None:
        line.append(before)
        before = forerunner(trials[before])
    return line


def epochs_of_its_own(trial: FrozenTrial) -> int:
    """Epochs that were trained for this trial, without those that it inherited."""
    return max(0, len(trial.intermediate_values) - int(trial.user_attrs.get(INHERITED, 0)))
