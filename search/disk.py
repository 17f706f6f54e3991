"""How much room the checkpoints of a search take."""

from __future__ import annotations

from search.config import Config
from search.estimate import count_repeats, slots_in_use
from search.pruners import most_paused
from search.space import Space
from storage.checkpoints import CheckpointStore
from trainer.hyperparameters import Hyperparameters

_FILES_OF_A_TRIAL = 2
"""The newest checkpoint, and the one before it."""
_WEIGHT_BYTES = 12
"""Of a checkpoint: a weight and Adam's two means, float32."""
_AVERAGE_BYTES = 4
"""A weight's moving average, float32."""
_AVERAGE = "ema_momentum"


def estimate_disk_bytes(config: Config, parameters: int, slots: int) -> int:
    """Bytes of all checkpoints at a time, at most, if every network is as large as this one.

    Args:
        config: Of the search.
        parameters: Weights of the network.
        slots: Trials at a time.
    """
    of_a_weight = _WEIGHT_BYTES + _AVERAGE_BYTES * _has_averages(config.build_space())
    return _FILES_OF_A_TRIAL * parameters * of_a_weight * _count_trials(config, slots)


def _has_averages(space: Space) -> bool:
    """Whether a network of the space may have a moving average of its weights."""
    drawn = [each.extremes() for each in space.dimensions if each.name == _AVERAGE]
    fixed = (space.fixed.get(_AVERAGE, Hyperparameters.ema_momentum),)
    return any(value > 0 for value in (drawn[0] if drawn else fixed))


def _count_trials(config: Config, slots: int) -> int:
    """Trials that have checkpoints at a time, those of repeats and final trainings included."""
    study, trials = config.study, config.most_trials()
    paused = most_paused(study.pruner, epochs=study.epochs_per_trial, keep_paused=study.keep_paused)
    search = slots_in_use(config, slots) + min(paused, trials or paused) + config.kept_trials()
    final = config.final.seeds if config.final else 0
    return search + count_repeats(config) + final + _count_earlier(config)


def _count_earlier(config: Config) -> int:
    """Final trainings that are there already: those of earlier winners are kept."""
    return len(CheckpointStore(config.final_checkpoints).trials())
