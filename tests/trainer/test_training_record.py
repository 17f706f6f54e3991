from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from trainer.errors import Diverged
from trainer.training_record import TrainingRecord
from trainer.training_step import StepResult

COUNTS = np.array([2, 3, 5])


class Loss:
    """A loss that knows whether it was read."""

    def __init__(self, value: float) -> None:
        self.value, self.was_read = value, False

    def __float__(self) -> float:
        self.was_read = True
        return self.value


def record_of(losses: list[Any]) -> TrainingRecord:
    record = TrainingRecord(3)
    for loss in losses:
        record.add(StepResult(loss, COUNTS))
    return record


def test_an_epoch_has_the_mean_loss_and_dice_of_all_voxels() -> None:
    assert record_of([float(n) for n in range(9)]).finish() == (4.0, 0.5)


def test_the_newest_steps_are_not_waited_for() -> None:
    losses = [Loss(1.0) for _ in range(9)]
    record = record_of(losses)
    assert [loss.was_read for loss in losses] == [True] * 5 + [False] * 4
    record.catch_up()
    assert all(loss.was_read for loss in losses)
    assert record.finish() == (1.0, 0.5)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_epoch_some_steps_later(loss: float) -> None:
    losses = [1.0, loss, 1.0, 1.0, 1.0]
    record = record_of(losses)
    with pytest.raises(Diverged, match=f"the loss became {loss} in epoch 3"):
        record.add(StepResult(1.0, COUNTS))


def test_a_loss_that_is_no_number_is_seen_in_the_end() -> None:
    with pytest.raises(Diverged):
        record_of([1.0, math.nan]).finish()
