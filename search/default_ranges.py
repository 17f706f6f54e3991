"""The range of a dimension that a config names with an empty table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.hyperparameters import CHOICES

_PROBABILITY = {"low": 0.0, "high": 1.0}

DEFAULT_RANGES: Mapping[str, Any] = {
    **{name: list(words) for name, words in CHOICES.items()},
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "beta_1": {"low": 0.8, "high": 0.99},
    "beta_2": {"low": 0.9, "high": 0.9999},
    "epsilon": {"low": 1e-8, "high": 1e-1, "log": True},
    "momentum": {"low": 0.5, "high": 0.99},
    "weight_decay": {"low": 1e-5, "high": 1e-1, "log": True},
    "warmup": {"low": 0.0, "high": 0.2},
    "ema_momentum": [0.0, 0.99, 0.999],
    "batch_size": [2, 4, 8, 16],
    "focal_gamma": {"low": 1.0, "high": 4.0},
    "tversky_alpha": {"low": 0.1, "high": 0.9},
    "depth": {"low": 3, "high": 5},
    "filters": [16, 32, 64],
    "outer_levels": {"low": -1, "high": 1},
    "centre_levels": {"low": 0, "high": 1},
    "stem_stride": [1, 2],
    "dropout": {"low": 0.0, "high": 0.5},
    "section_channels": [1, 3, 5, 7],
    "section_step": [1, 2, 4],
    "planar_levels": {"low": 0, "high": 2},
    "tile_size": [256, 512],
    "tile_sections": [8, 16, 32],
    "foreground_share": {"low": 0.0, "high": 0.7},
    "flip_probability": {"low": 0.0, "high": 0.5},
    "rotation_probability": _PROBABILITY,
    "rotation_degrees": {"low": 0.0, "high": 180.0},
    "zoom_probability": _PROBABILITY,
    "zoom": {"low": 0.0, "high": 0.4},
    "shift_probability": _PROBABILITY,
    "shift": {"low": 0.0, "high": 0.5},
    "elastic_probability": [0.0, 0.25, 0.5, 1.0],
    "elastic_alpha": {"low": 20.0, "high": 500.0, "log": True},
    "elastic_sigma": {"low": 4.0, "high": 40.0, "log": True},
    "brightness_probability": _PROBABILITY,
    "brightness": {"low": 0.0, "high": 0.3},
    "contrast_probability": _PROBABILITY,
    "contrast": {"low": 0.0, "high": 0.3},
    "blur_probability": [0.0, 0.25, 0.5],
    "blur_sigma": {"low": 0.5, "high": 2.0},
    "noise_probability": [0.0, 0.25, 0.5],
    "noise": {"low": 0.01, "high": 0.2, "log": True},
}
"""A list is a choice, a table a range, by the names of hyperparameters."""
