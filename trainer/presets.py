"""Known runs by name, to begin from and to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_REPORT_2019: Mapping[str, Any] = {
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "epsilon": 1e-7,
    "schedule": "constant",
    "warmup": 0.0,
    "ema_momentum": 0.0,
    # The report names no batch size; its tutorial's is 3, and it tried 5, 10 and 20.
    "batch_size": 3,
    "loss": "bce",
    "dimensions": "2d",
    "depth": 5,
    "filters": 32,
    "outer_levels": 0,
    "centre_levels": 0,
    "stem_stride": 1,
    "kernel": "3x3",
    "activation": "relu",
    "normalization": "batch",
    "dropout": 0.0,
    "upsampling": "transpose",
    "block": "plain",
    "gate": "none",
    "section_channels": 1,
    "tile_size": 256,
    # A section of 768 x 1024 has 3 x 4 cells.
    "tile_placement": "grid",
    "flip_probability": 0.0,
    "rotation_probability": 0.0,
    "zoom_probability": 0.0,
    "shift_probability": 0.0,
    "elastic_probability": 0.0,
    "brightness_probability": 0.0,
    "contrast_probability": 0.0,
    "blur_probability": 0.0,
    "noise_probability": 0.0,
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "report_2019": _REPORT_2019,
    "report_2019_16_filters_added": {**_REPORT_2019, "outer_levels": 1},
    "report_2019_2048_filters_added": {**_REPORT_2019, "centre_levels": 1},
    "report_2019_32_filters_removed": {**_REPORT_2019, "outer_levels": -1},
}
"""Values by the preset's name; each preset stands for one whole run.

`report_2019` is the baseline of the report: the U-Net of TensorFlow's image-segmentation tutorial
of 2018 with levels of 32 to 512 filters and 1024 at the centre, Adam with its defaults, tiles of
256 x 256 from a grid, nothing augmented. The others are its changes of depth: two layers of 16
filters added at both ends, one of 2048 at the centre, the two of 32 removed.
"""
