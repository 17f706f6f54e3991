"""The axis of a dimension: where its values lie on it, and what they are measured in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from search.report_order import choices_in_order
from search.shown_value import show_value
from search.space import Dimension

UNITS: Mapping[str, str] = {
    "momentum": "share of the last step",
    "warmup": "share of the run",
    "batch_size": "tiles",
    "filters": "at the first level",
    "depth": "levels",
    "stem_stride": "voxels",
    "dropout": "share of features",
    "section_channels": "sections",
    "section_step": "sections",
    "tile_size": "voxels",
    "foreground_share": "share of tiles",
    "flip_probability": "share of tiles",
    "rotation_probability": "share of tiles",
    "rotation_degrees": "degrees",
    "zoom_probability": "share of tiles",
    "zoom": "share of the size",
    "shift_probability": "share of tiles",
    "shift": "sides of a tile",
    "elastic_probability": "share of tiles",
    "elastic_alpha": "voxels",
    "elastic_sigma": "voxels",
    "brightness_probability": "share of tiles",
    "brightness": "share of the range",
    "contrast_probability": "share of tiles",
    "contrast": "share of the contrast",
    "blur_probability": "share of tiles",
    "blur_sigma": "voxels",
    "noise_probability": "share of tiles",
    "noise": "share of the range",
}
"""Of what is no bare number, and does not say its unit in its name."""
_LONGEST_LINE = 32
_LONGEST_WORD = 5
_MARGIN = 0.04
_FEW_POWERS = 100


def name_axis(dimension: Dimension) -> str:
    """The label of its axis, with the unit where there is one."""
    unit = UNITS.get(dimension.name)
    if unit is None:
        return dimension.name
    label = f"{dimension.name} ({unit})"
    # A panel is not wider than that.
    return label if len(label) <= _LONGEST_LINE else f"{dimension.name}\n({unit})"


def place(dimension: Dimension, value: Any) -> float:
    """Where a value is drawn: choices by their order, numbers by themselves."""
    if dimension.choices:
        listed = choices_in_order(dimension)
        return float(listed.index(value)) if value in listed else -1.0
    return float(value)


def scale_axis(axes: Axes, dimension: Dimension, axis: Literal["x", "y"]) -> None:
    """Names the axis, and shows all of the dimension on it, tried or not."""
    (axes.set_xlabel if axis == "x" else axes.set_ylabel)(name_axis(dimension))
    if dimension.choices:
        _list_choices(axes, dimension, axis)
        return
    if dimension.log:
        _scale_by_powers(axes, dimension, axis)
    elif isinstance(dimension.low, int) and isinstance(dimension.high, int):
        (axes.xaxis if axis == "x" else axes.yaxis).set_major_locator(whole_ticks())
    (axes.set_xlim if axis == "x" else axes.set_ylim)(*_limits(dimension))


def whole_ticks() -> MaxNLocator:
    """Ticks at whole numbers alone."""
    return MaxNLocator(integer=True, min_n_ticks=1)


def _list_choices(axes: Axes, dimension: Dimension, axis: Literal["x", "y"]) -> None:
    words = [show_value(value) for value in choices_in_order(dimension)]
    limits = (-0.5, len(words) - 0.5)
    if axis == "x":
        turned = 30 if max(map(len, words)) > _LONGEST_WORD else 0
        axes.set_xticks(range(len(words)), words, rotation=turned, fontsize=8)
        axes.set_xlim(*limits)
    else:
        axes.set_yticks(range(len(words)), words, fontsize=8)
        axes.set_ylim(*limits)


def _scale_by_powers(axes: Axes, dimension: Dimension, axis: Literal["x", "y"]) -> None:
    (axes.set_xscale if axis == "x" else axes.set_yscale)("log")
    one = axes.xaxis if axis == "x" else axes.yaxis
    one.set_minor_formatter(NullFormatter())
    if float(dimension.high or 1) < _FEW_POWERS * float(dimension.low or 1):
        # So short a range has room for numbers between the powers of ten, and needs them.
        one.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        one.set_major_formatter(lambda value, _: f"{value:g}")
        if axis == "x":
            # Side by side they would run into each other in a narrow panel.
            axes.tick_params("x", rotation=30)


def _limits(dimension: Dimension) -> tuple[float, float]:
    """A little more than the range, so that what lies at its ends is seen whole."""
    low, high = float(dimension.low or 0), float(dimension.high or 0)
    if dimension.log:
        factor = (high / low) ** _MARGIN
        return low / factor, high * factor
    return low - _MARGIN * (high - low), high + _MARGIN * (high - low)
