from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from search.assignment import Assignment, Begun, EpochReport, Event, Failure, Task
from search.study_volume import StudyVolume
from search.workers import InlineWorkers
from trainer.hyperparameters import Hyperparameters
from trainer.split import split_sections
from trainer.volume import Volume


class Runner:
    """Trains nothing, and fails in trial 13."""

    def __init__(self, task: Task) -> None:
        self.trial, self.epoch, self.closed = -1, 0, False

    def begin(self, assignment: Assignment) -> Begun | Failure:
        self.trial, self.epoch = assignment.trial, 0
        return Begun(None)

    def advance(self) -> EpochReport | Failure:
        self.epoch += 1
        if self.trial == 13:
            return Failure("error", "unlucky")
        return EpochReport(self.epoch, 0.5, (0.5,) * self.epoch)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def workers() -> InlineWorkers:
    raw = np.zeros((20, 8, 8), np.uint8)
    volume = StudyVolume(Volume(raw, raw, None, ()), split_sections(20, gap=1))
    task = Task((volume,), Path("x"), 1)
    return InlineWorkers(task, runner=Runner)


def assignment(trial: int) -> Assignment:
    return Assignment(trial, Hyperparameters(), 3, 1, "train", 0)


def test_one_trial_at_a_time_goes_from_call_to_call(workers: InlineWorkers) -> None:
    assert workers.free() == 1
    workers.begin(assignment(4))
    assert workers.free() == 0
    assert workers.wait(1.0) == [Event(4, Begun(None))]
    workers.advance(4)
    assert workers.wait(1.0) == [Event(4, EpochReport(1, 0.5, (0.5,)))]
    workers.release(4)
    assert workers.free() == 1


def test_nothing_is_done_before_the_wait(workers: InlineWorkers) -> None:
    workers.begin(assignment(4))
    assert workers._runner.trial == -1
    workers.wait(0.0)
    assert workers._runner.trial == 4


def test_nothing_asked_for_is_nothing_to_wait_for(workers: InlineWorkers) -> None:
    assert workers.wait(60.0) == []


def test_a_failed_trial_has_left_its_worker(workers: InlineWorkers) -> None:
    workers.begin(assignment(13))
    workers.wait(1.0)
    workers.advance(13)
    assert workers.wait(1.0) == [Event(13, Failure("error", "unlucky"))]
    assert workers.free() == 1
    workers.begin(assignment(14))
    assert workers.wait(1.0) == [Event(14, Begun(None))]


def test_a_trial_that_is_not_here_cannot_be_advanced(workers: InlineWorkers) -> None:
    workers.begin(assignment(4))
    with pytest.raises(RuntimeError, match="trial 5"):
        workers.advance(5)


def test_another_trials_release_changes_nothing(workers: InlineWorkers) -> None:
    workers.begin(assignment(4))
    workers.release(5)
    assert workers.free() == 0


def test_the_last_network_is_given_back(workers: InlineWorkers) -> None:
    workers.close()
    assert workers._runner.closed
