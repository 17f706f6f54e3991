"""What Dice needs of the training tiles, counted as they pass through the network."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def count_voxels(masks: Any, logits: Any) -> Any:
    """Voxels of a step: foreground in both, in the prediction (from 0.5 upwards), in truth; (3,).

    The network's output is there when a step is made: counting it costs no second pass.
    """
    truth, prediction = ops.greater(masks, 0.5), ops.greater_equal(logits, 0.0)
    voxels = (ops.logical_and(truth, prediction), prediction, truth)
    # Whole numbers: float32 stops counting at 16.8 million. Of 32 bits TensorFlow would add them up
    # beside its GPU; JAX has no others.
    kind = "int64" if keras.backend.backend() == "tensorflow" else "int32"
    return ops.stack([ops.sum(ops.cast(counted, kind)) for counted in voxels])


def pooled_dice(overlap: float, predicted: float, foreground: float) -> float:
    """Dice of such counts; 1 where there was nothing to find and nothing was found."""
    size = predicted + foreground
    return 2 * overlap / size if size else 1.0
