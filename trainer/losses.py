"""Losses on logits, by the names that the search knows them under."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

Loss = Callable[[Any, Any], Any]
"""Takes the mask and the logits, both (tile, y, x, 1), and gives one number."""

_SMOOTH = 1.0
"""Added above and below, so that a batch without foreground has a Dice, and a gradient."""


def build_loss(name: str) -> Loss:
    """The loss of that name, from the mask and the logits of a batch to a scalar."""
    return _LOSSES[name]


def _soft_dice(mask: Any, logits: Any) -> Any:
    """Dice of probabilities, pooled over the batch (Milletari et al. 2016, arXiv 1606.04797)."""
    probability = ops.sigmoid(logits)
    overlap = ops.sum(mask * probability)
    return (2.0 * overlap + _SMOOTH) / (ops.sum(mask) + ops.sum(probability) + _SMOOTH)


def _bce(mask: Any, logits: Any) -> Any:
    """Binary cross-entropy, in the form that cannot overflow: softplus(z) - z m."""
    return ops.mean(ops.softplus(logits) - logits * mask)


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
