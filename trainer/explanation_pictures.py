"""The pictures of an explanation: maps over the section, and the patches that filters answer to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from trainer.filters import Filter
from trainer.region import Region

_BOX = (0, 230, 160)
_OUTLINE = (255, 210, 0)
_MAP = mpl.colormaps["inferno"]
_STRONGEST_COVER = 0.75
_CELLS, _SMALLEST, _LARGEST = 16, 32, 128
_DPI = 100


def draw_region(gray: np.ndarray, region: Region, foreground: np.ndarray) -> np.ndarray:
    """Draws the box and the outline of what was called foreground over a section.

    Args:
        gray: uint8 (y, x).
        region: The box.
        foreground: 0 or 1, (y, x).

    Returns:
        RGB, uint8 (y, x, 3).
    """
    drawn = np.repeat(gray[..., np.newaxis], 3, axis=2)
    outlines, _ = cv2.findContours(
        foreground.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(drawn, outlines, -1, _OUTLINE, 1)
    return _boxed(drawn, region)


def draw_map(gray: np.ndarray, strength: np.ndarray, region: Region) -> np.ndarray:
    """Lays a map over a section: the stronger, the brighter and the less of the section is seen.

    Args:
        gray: uint8 (y, x).
        strength: 0 and more, (y, x), in voxels.
        region: The box to draw.

    Returns:
        RGB, uint8 (y, x, 3).
    """
    relative = strength / max(float(strength.max()), 1e-12)
    cover = (_STRONGEST_COVER * np.sqrt(relative))[..., np.newaxis]
    colour = _MAP(relative)[..., :3] * 255
    drawn = (1 - cover) * gray[..., np.newaxis] + cover * colour
    return _boxed(np.ascontiguousarray(drawn.astype(np.uint8)), region)


def draw_filters(
    gray: np.ndarray, region: Region, filters: Sequence[Filter], factor: int
) -> np.ndarray:
    """Draws the section beside each filter's map and the patches that it answers to most.

    Args:
        gray: uint8 (y, x), as it was shown to the network.
        region: The box to draw.
        filters: Of one level.
        factor: Voxels along the side of one of its cells.

    Returns:
        RGB, uint8 (y, x, 3).
    """
    patches = max(len(filter_.peaks) for filter_ in filters)
    widths = [3.0, 3.0, *[1.5] * patches]
    figure = Figure(
        figsize=(sum(widths) * 0.9, 2.15 * len(filters)), dpi=_DPI, layout="constrained"
    )
    grid = figure.add_gridspec(len(filters), len(widths), width_ratios=widths)
    section = _bare(figure.add_subplot(grid[0, 0]), "section and box")
    section.imshow(gray, cmap="gray", vmin=0, vmax=255)
    _outline(section, region)
    if len(filters) > 1:
        box = _bare(figure.add_subplot(grid[1, 0]), "the box")
        box.imshow(gray[region.slices], cmap="gray", vmin=0, vmax=255)
    for row, each in enumerate(filters):
        axes = _bare(figure.add_subplot(grid[row, 1]), f"filter {each.number}: response")
        rows, columns = (cells * factor for cells in each.response.shape)
        shown = axes.imshow(each.response, cmap=_MAP, extent=(0, columns, rows, 0))
        # Each map has a scale of its own, or the weak ones would be black.
        figure.colorbar(shown, ax=axes, fraction=0.05, pad=0.02).ax.tick_params(labelsize=7)
        axes.set(xlim=(0, gray.shape[1]), ylim=(gray.shape[0], 0))
        _outline(axes, region)
        for column, peak in enumerate(each.peaks):
            patch = _bare(
                figure.add_subplot(grid[row, 2 + column]), "answers most to" if not column else ""
            )
            patch.imshow(_patch(gray, peak, factor), cmap="gray", vmin=0, vmax=255)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def patch_side(factor: int) -> int:
    """Voxels along the side of a patch: some cells of the level, so that its patterns fit in."""
    return min(max(_CELLS * factor, _SMALLEST), _LARGEST)


def _patch(gray: np.ndarray, peak: tuple[int, int], factor: int) -> np.ndarray:
    """The surroundings of a cell, moved inwards where they would leave the section."""
    side = patch_side(factor)
    middle = [cell * factor + factor // 2 for cell in peak]
    slices = tuple(
        slice(first := min(max(at - side // 2, 0), max(length - side, 0)), first + side)
        for at, length in zip(middle, gray.shape, strict=True)
    )
    return gray[slices]


def _boxed(drawn: np.ndarray, region: Region) -> np.ndarray:
    cv2.rectangle(drawn, (region.x0 - 1, region.y0 - 1), (region.x1, region.y1), _BOX, 2)
    return drawn


def _outline(axes: Axes, region: Region) -> None:
    axes.add_patch(
        Rectangle(
            (region.x0, region.y0),
            region.x1 - region.x0,
            region.y1 - region.y0,
            fill=False,
            edgecolor=[part / 255 for part in _BOX],
            linewidth=1,
        )
    )


def _bare(axes: Axes, title: str) -> Axes:
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xticks([])
    axes.set_yticks([])
    return axes
