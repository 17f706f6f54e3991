"""What Dice needs of the training tiles, counted as they pass through the network."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_NAMES = ("overlap", "predicted", "foreground")


class TrainingCounts(keras.metrics.Metric):  # type: ignore[misc]
    """Voxels of a step: foreground in truth, in the prediction (from 0.5 upwards), and in both.

    The network's output is there when a step has been made: counting it costs no second pass.
    """

    def __init__(self) -> None:
        """Starts at nothing."""
        super().__init__(name="counts")
        # Whole numbers: float32 stops counting at 16.8 million.
        self._counts = {
            name: self.add_weight(shape=(), initializer="zeros", dtype="int64", name=name)
            for name in _NAMES
        }

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch of masks and logits."""
        truth, prediction = ops.greater(y_true, 0.5), ops.greater_equal(y_pred, 0.0)
        voxels = (ops.logical_and(truth, prediction), prediction, truth)
        for name, counted in zip(_NAMES, voxels, strict=True):
            self._counts[name].assign_add(ops.sum(ops.cast(counted, "int64")))

    def result(self) -> dict[str, Any]:
        """The three counts by name."""
        return {name: ops.convert_to_tensor(count) for name, count in self._counts.items()}


def pooled_dice(overlap: float, predicted: float, foreground: float) -> float:
    """Dice of such counts; 1 where there was nothing to find and nothing was found."""
    size = predicted + foreground
    return 2 * overlap / size if size else 1.0
