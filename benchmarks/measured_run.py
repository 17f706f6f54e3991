"""A network trained on EPFL's volume, scored after every epoch by two blocks of sections."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trainer.volume import Volume

if TYPE_CHECKING:
    from trainer.hyperparameters import Hyperparameters

TRAIN, VALIDATION, HELD_OUT = (0, 65), (95, 115, 5), (145, 165, 5)
"""Sections of EPFL's volume, with gaps of 30; of the last two every fifth is scored."""


class MeasuredRun:
    """A training session whose scores are kept, each list with one number for each epoch.

    A network that diverges has found nothing: its epochs from there on score 0.

    Attributes:
        dice: On the validation sections, at the threshold that suits them best.
        heldout_dice: At the same threshold, on sections that take no part in the choice.
        loss: Of the training tiles; of a diverged epoch there is none.
        epoch_seconds: Of training alone.
        diverged: Why it did; empty while it does not.
    """

    def __init__(
        self, volume: Volume, run: Hyperparameters, *, epochs: int, tiles_per_epoch: int, seed: int
    ) -> None:
        """Builds the network, on one core."""
        from trainer.device import configure_device
        from trainer.session import TrainingPlan, TrainingSession
        from trainer.training_volume import TrainingVolume

        device = configure_device(1)
        learned = TrainingVolume.measure(volume, range(*TRAIN), range(*VALIDATION))
        self._held_out = replace(learned, validation=range(*HELD_OUT))
        plan = TrainingPlan(epochs, tiles_per_epoch, seed)
        self._session = TrainingSession([learned], run, plan, precision=device.precision)
        self.dice: list[float] = []
        self.heldout_dice: list[float] = []
        self.loss: list[float] = []
        self.epoch_seconds: list[float] = []
        self.diverged = ""

    def advance(self) -> None:
        """Trains one more epoch and scores it."""
        from trainer.errors import Diverged

        if not self.diverged:
            try:
                self._train()
                return
            except Diverged as error:
                self.diverged = str(error)
        self.dice.append(0.0)
        self.heldout_dice.append(0.0)
        self.epoch_seconds.append(self.epoch_seconds[-1] if self.epoch_seconds else 1.0)

    def close(self) -> None:
        """Gives the network's memory back."""
        self._session.close()

    def _train(self) -> None:
        metrics = self._session.advance()
        held_out = self._session.score(self._held_out, metrics.scores.threshold)
        self.dice.append(round(metrics.scores.dice, 4))
        self.heldout_dice.append(round(held_out.dice, 4))
        self.loss.append(round(metrics.loss, 4))
        self.epoch_seconds.append(round(metrics.training_seconds, 2))
