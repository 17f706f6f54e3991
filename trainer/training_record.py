"""What the steps of an epoch have brought, read when the device has long made them."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from keras import ops

from trainer.errors import Diverged
from trainer.training_counts import pooled_dice
from trainer.training_step import StepResult

_UNREAD = 4
"""Steps that may be under way: a device is never without one, nor does its memory fill up."""


class TrainingRecord:
    """Losses and counts of one epoch."""

    def __init__(self, epoch: int) -> None:
        """Holds nothing yet.

        Args:
            epoch: That is named where the run has diverged.
        """
        self._epoch = epoch
        self._unread: deque[StepResult] = deque()
        self._losses: list[float] = []
        self._counts = np.zeros(3)

    def add(self, result: StepResult) -> None:
        """Takes a step in, and reads an earlier one.

        Raises:
            Diverged: The loss of that one is no longer finite.
        """
        self._unread.append(result)
        if len(self._unread) > _UNREAD:
            self._read()

    def catch_up(self) -> None:
        """Reads all steps, and waits for those that are under way.

        Raises:
            Diverged: A loss is no longer finite.
        """
        while self._unread:
            self._read()

    def finish(self) -> tuple[float, float]:
        """Mean loss, and Dice over all voxels of the epoch.

        Raises:
            Diverged: A loss is no longer finite.
        """
        self.catch_up()
        return float(np.mean(self._losses)), pooled_dice(*self._counts.tolist())

    def _read(self) -> None:
        result = self._unread.popleft()
        loss = float(result.loss)
        if not math.isfinite(loss):
            raise Diverged(f"the loss became {loss} in epoch {self._epoch}")
        self._losses.append(loss)
        self._counts += ops.convert_to_numpy(result.counts)
