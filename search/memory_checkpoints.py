"""Checkpoints that are gone with their process."""

from __future__ import annotations

from pathlib import Path

from storage.checkpoints import Checkpoint, CheckpointStore


class MemoryCheckpoints(CheckpointStore):
    """What the store does with files, done in memory: for trials that have nothing to lose."""

    def __init__(self) -> None:
        super().__init__(Path())
        self._newest: dict[int, Checkpoint] = {}

    def save(self, trial: int, checkpoint: Checkpoint) -> Path:
        """Keeps a checkpoint in place of the one before; the path names no file."""
        self._newest[trial] = checkpoint
        return self._path(trial, checkpoint.epoch)

    def load(self, trial: int) -> Checkpoint | None:
        """Returns the newest checkpoint, or None where there is none."""
        return self._newest.get(trial)

    def epochs(self, trial: int) -> list[int]:
        """Returns the epoch of the newest checkpoint."""
        checkpoint = self._newest.get(trial)
        return [] if checkpoint is None else [checkpoint.epoch]

    def inherit(self, trial: int, forerunner: int) -> int | None:
        """Gives a trial the newest checkpoint of another one; returns its epoch."""
        checkpoint = self._newest.get(forerunner)
        if checkpoint is None:
            return None
        self._newest[trial] = checkpoint
        return checkpoint.epoch

    def delete(self, trial: int) -> None:
        """Forgets all checkpoints of a trial."""
        self._newest.pop(trial, None)

    def tidy(self) -> None:
        """Has left nothing."""

    def trials(self) -> list[int]:
        """Returns the trials that have one, in ascending order."""
        return sorted(self._newest)
