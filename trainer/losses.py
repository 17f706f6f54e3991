"""Losses on logits, by the names that the search knows them under."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from keras import ops

from trainer.hyperparameters import Hyperparameters

Loss = Callable[[Any, Any], Any]
"""Takes the mask and the logits, both (tile, y, x, 1) or (tile, z, y, x, 1), and gives a number."""

_STEPS = np.clip(np.arange(256), 0.25, 254.75) / 255
_LOGITS = np.log(_STEPS / (1 - _STEPS)).astype(np.float32)
_SMOOTH = 1.0
"""Added above and below, so that a batch without foreground has a Dice, and a gradient."""


def build_loss(hyperparameters: Hyperparameters) -> Loss:
    """The loss of a run, from the mask and the logits of a batch to a scalar."""
    if hyperparameters.loss == "focal":
        return partial(_focal, gamma=hyperparameters.focal_gamma)
    if hyperparameters.loss == "tversky":
        return partial(_tversky, alpha=hyperparameters.tversky_alpha)
    return _LOSSES[hyperparameters.loss]


def loss_of_probability(loss: Loss, mask: np.ndarray, probability: np.ndarray) -> float:
    """The loss of a section whose prediction is kept as uint8, 255 for 1.

    Each of the 256 steps counts as the middle of the probabilities that are rounded to it, so that
    none is certain, and the loss is finite.

    Args:
        loss: As `build_loss` gave it.
        mask: The truth (y, x), every value but 0 is foreground.
        probability: uint8 (y, x).
    """
    truth = (mask != 0).astype(np.float32)
    shape = (1, *mask.shape, 1)
    arrays = truth.reshape(shape), _LOGITS[probability].reshape(shape)
    return float(loss(*map(ops.convert_to_tensor, arrays)))


def _soft_dice(mask: Any, logits: Any) -> Any:
    """Dice of probabilities, pooled over the batch (Milletari et al. 2016, arXiv 1606.04797)."""
    probability = ops.sigmoid(logits)
    overlap = ops.sum(mask * probability)
    return (2.0 * overlap + _SMOOTH) / (ops.sum(mask) + ops.sum(probability) + _SMOOTH)


def _cross_entropy(mask: Any, logits: Any) -> Any:
    """Of each voxel, in the form that cannot overflow: softplus(z) - z m."""
    return ops.softplus(logits) - logits * mask


def _bce(mask: Any, logits: Any) -> Any:
    """Binary cross-entropy."""
    return ops.mean(_cross_entropy(mask, logits))


def _focal(mask: Any, logits: Any, *, gamma: float) -> Any:
    """Cross-entropy times (1 - p) ** gamma, p that of the truth (Lin et al. 2017, 1708.02002)."""
    entropy = _cross_entropy(mask, logits)
    return ops.mean((1.0 - ops.exp(-entropy)) ** gamma * entropy)


def _tversky(mask: Any, logits: Any, *, alpha: float) -> Any:
    """Dice with false foreground weighed by alpha, missed by the rest (arXiv 1706.05721)."""
    probability = ops.sigmoid(logits)
    overlap = ops.sum(mask * probability)
    false, missed = ops.sum(probability) - overlap, ops.sum(mask) - overlap
    wrong = alpha * false + (1.0 - alpha) * missed
    return 1.0 - (overlap + _SMOOTH) / (overlap + wrong + _SMOOTH)


def _dice(mask: Any, logits: Any) -> Any:
    return 1.0 - _soft_dice(mask, logits)


def _log_dice(mask: Any, logits: Any) -> Any:
    return -ops.log(_soft_dice(mask, logits))


def _bce_dice(mask: Any, logits: Any) -> Any:
    return _bce(mask, logits) + _dice(mask, logits)


_LOSSES: dict[str, Loss] = {
    "bce": _bce,
    "dice": _dice,
    "log_dice": _log_dice,
    "bce_dice": _bce_dice,
}
