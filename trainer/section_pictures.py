"""Pictures of the sections of a volume: as they are, as a block, and deformed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Affine2D

from trainer.augment import Field
from trainer.decorrelation import DEFORMATIONS, deform, displacement_deviation
from trainer.intensity import Intensity

_OUTLINE = "#ff8c1a"
_MOST_PIXELS = 700
# The block's depth is drawn at this slant, for each voxel's edge along z.
_SLANT = (0.62, 0.42)
_TILE = 256
_GRID = 16


def draw_sections(
    raw: np.ndarray, mask: np.ndarray | None, edges: Sequence[float], unit: str
) -> Figure:
    """Draws six sections, evenly over the volume, with the outlines of the objects."""
    numbers = np.unique(np.linspace(0, len(raw) - 1, 6).round().astype(int))
    gray = _Gray(raw)
    columns = min(3, len(numbers))
    rows = -(-len(numbers) // columns)
    height = 3.6 * rows * min(1.6, max(0.5, _width_to_height(raw, edges) ** -1)) + 0.5
    figure = Figure(figsize=(11, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, number in zip(grid.flat, numbers, strict=False):
        step = max(1, max(raw.shape[1:]) // _MOST_PIXELS)
        extent = (0.0, raw.shape[2] * edges[2], raw.shape[1] * edges[1], 0.0)
        axes.imshow(gray.of(raw[number][::step, ::step]), "gray", vmin=0, vmax=1, extent=extent)
        if mask is not None and mask[number].any():
            _outline(axes, mask[number], edges)
        axes.set_title(f"section {number}", fontsize=10)
    for axes in grid.flat[len(numbers) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel(f"y, {unit}")
    for axes in grid[-1]:
        axes.set_xlabel(f"x, {unit}")
    return figure


def draw_prism(raw: np.ndarray, edges: Sequence[float], unit: str) -> Figure:
    """Draws the faces of the volume's prism: the first section, and what lies behind its edges."""
    gray = _Gray(raw)
    depth, height, width = (length * edge for length, edge in zip(raw.shape, edges, strict=True))
    slant_x, slant_y = _SLANT[0] * depth, _SLANT[1] * depth
    figure = Figure(figsize=(9, 9 * (height + slant_y) / (width + slant_x)), layout="constrained")
    axes = figure.add_subplot()
    # From a face of sides 1 by 1, (right, down), to the picture: front, top and right.
    faces = (
        (raw[0], ((width, 0), (0, height)), (0.0, 0.0)),
        (raw[::-1, 0], ((width, 0), (-slant_x, slant_y)), (slant_x, -slant_y)),
        (raw[:, :, -1].T, ((slant_x, -slant_y), (0, height)), (width, 0.0)),
    )
    for face, (right, down), corner in faces:
        step = max(1, max(face.shape) // (2 * _MOST_PIXELS))
        place = Affine2D(np.array([[right[0], down[0], corner[0]],
                                   [right[1], down[1], corner[1]], [0, 0, 1]]))  # fmt: skip
        axes.imshow(
            gray.of(face[::step, ::step]), "gray", vmin=0, vmax=1, extent=(0, 1, 1, 0),
            transform=place + axes.transData, interpolation="bilinear",
        )  # fmt: skip
    axes.set(xlim=(0, width + slant_x), ylim=(height, -slant_y), aspect="equal")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines["left"].set_bounds(height, 0)
    axes.spines["bottom"].set_bounds(0, width)
    axes.set_xlabel(f"x, {unit}")
    axes.set_ylabel(f"y, {unit}")
    axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= height])
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= width])
    axes.annotate(
        f"z, {len(raw)} sections\n{depth:.3g} {unit}",
        (width + slant_x * 0.55, height - slant_y * 0.35), va="top", ha="left", fontsize=10,
    )  # fmt: skip
    axes.plot((width, width + slant_x), (height, height - slant_y), color="black", linewidth=1)
    return figure


def draw_deformations(raw: np.ndarray, mask: np.ndarray | None, seed: int = 0) -> Figure:
    """Draws a tile of the middle section, as it is and under each elastic deformation.

    A grid of 16 voxels, deformed likewise, shows where the voxels went.
    """
    middle = len(raw) // 2
    window = _busiest(raw[middle].shape, None if mask is None else mask[middle])
    alphas = len({alpha for alpha, _ in DEFORMATIONS})
    figure = Figure(figsize=(11, 6), layout="constrained")
    grid = figure.subplots(2, alphas + 1, sharex=True, sharey=True)
    gray = _Gray(raw)
    y, x = np.indices(raw[middle].shape, dtype=np.float32)
    _draw_tile(grid[0, 0], gray, raw[middle], Field(y, x), window, "unchanged")
    grid[1, 0].set_visible(False)
    grid[0, 0].tick_params(labelbottom=True)
    for axes, (alpha, sigma) in zip(grid[:, 1:].flat, DEFORMATIONS, strict=True):
        field = deform(raw[middle], alpha, sigma, np.random.default_rng(seed))
        moved = displacement_deviation(alpha, sigma)
        title = f"alpha {alpha:g}, sigma {sigma:g}\nmoves by {moved:.1f} voxels"
        _draw_tile(axes, gray, raw[middle], field, window, title)
    figure.supxlabel("x, voxels", fontsize=10)
    figure.supylabel("y, voxels", fontsize=10)
    return figure


class _Gray:
    """Grey values as 0 to 1, by the volume's own percentiles."""

    def __init__(self, raw: np.ndarray) -> None:
        self._intensity = Intensity.measure(raw)

    def of(self, section: np.ndarray) -> np.ndarray:
        gray: np.ndarray = np.clip(self._intensity.scale(section), 0, 1)
        return gray


def _outline(axes: Axes, section: np.ndarray, edges: Sequence[float]) -> None:
    y = (np.arange(section.shape[0]) + 0.5) * edges[1]
    x = (np.arange(section.shape[1]) + 0.5) * edges[2]
    if min(section.shape) >= 2:
        axes.contour(x, y, section, levels=[0.5], colors=_OUTLINE, linewidths=0.9)


def _width_to_height(raw: np.ndarray, edges: Sequence[float]) -> float:
    return float(raw.shape[2] * edges[2] / (raw.shape[1] * edges[1]))


def _draw_tile(
    axes: Axes, gray: _Gray, section: np.ndarray, field: Field,
    window: tuple[slice, slice], title: str,
) -> None:  # fmt: skip
    lines = np.zeros(section.shape, np.float32)
    lines[::_GRID] = lines[:, ::_GRID] = 1
    tile = gray.of(field.sample(section.astype(np.float32))[window])
    drawn = np.repeat(tile[..., np.newaxis], 3, axis=2)
    grid = 0.6 * np.clip(field.sample(lines)[window], 0, 1)[..., np.newaxis]
    axes.imshow(np.clip(drawn * (1 - grid) + grid * np.array([0.1, 0.75, 1.0]), 0, 1))
    axes.set_title(title, fontsize=9)


def _busiest(shape: tuple[int, ...], mask: np.ndarray | None) -> tuple[slice, slice]:
    """The tile with the most foreground among those of a coarse grid, or the middle one."""
    height, width = (min(side, _TILE) for side in shape)
    if mask is None:
        y, x = (shape[0] - height) // 2, (shape[1] - width) // 2
        return slice(y, y + height), slice(x, x + width)
    starts = [
        (y, x)
        for y in range(0, shape[0] - height + 1, max(1, height // 4))
        for x in range(0, shape[1] - width + 1, max(1, width // 4))
    ]
    y, x = max(
        starts, key=lambda at: int(mask[at[0] : at[0] + height, at[1] : at[1] + width].sum())
    )
    return slice(y, y + height), slice(x, x + width)
