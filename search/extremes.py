"""The smallest and the largest network of a space."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from search.space import Dimension, Space
from trainer.errors import InputError
from trainer.footprint import count_weights, estimate_training_bytes
from trainer.hyperparameters import Hyperparameters


def smallest(space: Space) -> Hyperparameters:
    """The run with the least memory in training, and of equals the fewest weights."""
    return _extreme(space, min)


def largest(space: Space) -> Hyperparameters:
    """The run with the most memory in training, and of equals the most weights."""
    return _extreme(space, max)


def fewest_weights(space: Space) -> int:
    """Of all runs; the one that has them need not be the one with the least memory."""
    return count_weights(_extreme(space, min, key=count_weights))


def _extreme(
    space: Space,
    choose: Callable[..., Hyperparameters],
    key: Callable[[Hyperparameters], Any] | None = None,
) -> Hyperparameters:
    """Takes each dimension to its extreme alone: more of one is never less beside another."""
    run = space.middle()
    for dimension in space.dimensions:
        run = choose([run, *_variants(run, dimension)], key=key or _size)
    return run


def _variants(run: Hyperparameters, dimension: Dimension) -> Iterator[Hyperparameters]:
    for value in dimension.extremes():
        # Changes that are made one at a time need not fit each other.
        with suppress(InputError):
            yield replace(run, **{dimension.name: value})


def _size(run: Hyperparameters) -> tuple[int, int]:
    return estimate_training_bytes(run, "float32"), count_weights(run)
