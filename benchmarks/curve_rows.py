"""The runs whose learning curves are recorded: the report's Table 2, and a sample of its space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scipy.stats import qmc

from search.space import Dimension, Space, build_space

Params = dict[str, Any]

BASELINE: Mapping[str, Any] = {
    "learning_rate": 1e-3,
    "epsilon": 1e-7,
    "batch_size": 3,
    "loss": "bce",
    "normalization": "batch",
    "outer_levels": 0,
    "centre_levels": 0,
    "kernel": "3x3",
}
"""The report's default, in the dimensions that its Table 2 changes."""

SPACE: Mapping[str, Any] = {
    "preset": "report_2019",
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "epsilon": {"low": 1e-8, "high": 1e-1, "log": True},
    "batch_size": [2, 3, 5, 10, 20],
    "loss": ["bce", "dice", "log_dice"],
    "normalization": ["batch", "layer", "none"],
    "outer_levels": [-1, 0, 1],
    "centre_levels": [0, 1],
    "kernel": ["3x3", "effective_5x5", "5x5"],
}
"""As a config writes it; the width is fixed beside it."""

_CHANGES: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("Default", {}),
    ("Learning rate 1E-1", {"learning_rate": 1e-1}),
    ("Learning rate 1E-5", {"learning_rate": 1e-5}),
    ("Epsilon 1E-4", {"epsilon": 1e-4}),
    ("Epsilon 0.1", {"epsilon": 0.1}),
    ("Batch size 5", {"batch_size": 5}),
    ("Batch size 10", {"batch_size": 10}),
    ("Batch size 20", {"batch_size": 20}),
    ("Dice loss", {"loss": "dice"}),
    ("Log dice loss", {"loss": "log_dice"}),
    ("Layer normalization", {"normalization": "layer"}),
    ("No normalization", {"normalization": "none"}),
    ("16 filters added", {"outer_levels": 1}),
    ("2048 filters added", {"centre_levels": 1}),
    ("32 filters removed", {"outer_levels": -1}),
    ("Effective 5x5", {"kernel": "effective_5x5"}),
    ("True 5x5", {"kernel": "5x5"}),
    (
        "All best",
        {
            "learning_rate": 1e-5,
            "epsilon": 1e-4,
            "batch_size": 5,
            "loss": "dice",
            "outer_levels": -1,
        },
    ),
)


@dataclass(frozen=True)
class Row:
    """A run to record: what it is called, and its value in every dimension."""

    name: str
    params: Params


def list_rows(sampled: int, *, filters: int, seed: int) -> Iterator[Row]:
    """The rows of Table 2 in their order, the best of them combined, and points of Sobol'.

    Args:
        sampled: How many points.
        filters: Of the first level.
        seed: Of the points.
    """
    for name, change in _CHANGES:
        yield Row(name, {**BASELINE, **change})
    dimensions = build_row_space(filters).dimensions
    points = qmc.Sobol(len(dimensions), seed=seed).random_base2(max(1, sampled - 1).bit_length())
    for index, point in enumerate(points[:sampled]):
        pairs = zip(dimensions, point, strict=True)
        yield Row(f"sobol {index}", {each.name: _value(each, share) for each, share in pairs})


def build_row_space(filters: int) -> Space:
    """The space that all rows lie in, at a width of its own."""
    return build_space({**SPACE, "filters": filters})


def _value(dimension: Dimension, share: float) -> Any:
    """The value so far into a dimension, from 0 to 1 on its own scale."""
    if dimension.choices:
        return dimension.choices[int(share * len(dimension.choices))]
    if dimension.low is None or dimension.high is None or not dimension.log:
        raise ValueError(f"{dimension.name}: expected choices or a logarithmic range")
    # Three digits are what anybody would type.
    return float(f"{dimension.low * (dimension.high / dimension.low) ** share:.2e}")
