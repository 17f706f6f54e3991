"""A trial's learning curve as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

_WIDTH, _HEIGHT = 560, 320
_LEFT, _TOP, _RIGHT, _BOTTOM = 52, 36, 16, 44
_PLOT_WIDTH, _PLOT_HEIGHT = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
_MOST_LABELS = 10


def draw_learning_curve(values: Mapping[int, float], *, epochs: int, title: str) -> str:
    """Draws the objective after each epoch, on axes that are the same for all trials.

    Args:
        values: The objective, from 0 to 1, by epoch from 1 on.
        epochs: Of the full budget.
        title: Over the picture.

    Returns:
        SVG.
    """
    points = [(_x(epoch, epochs), _y(value)) for epoch, value in sorted(values.items())]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif" font-size="12">'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>'
        f'<text x="{_LEFT}" y="22" font-size="14">{escape(title)}</text>'
        f"{_grid(epochs)}"
        f'<g fill="#1f6feb"><polyline points="{line}" fill="none" stroke="#1f6feb" '
        f'stroke-width="2"/>{dots}</g>'
        f'<text x="{_LEFT + _PLOT_WIDTH / 2}" y="{_HEIGHT - 8}" text-anchor="middle">epoch</text>'
        "</svg>\n"
    )


def _grid(epochs: int) -> str:
    rows = "".join(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_y(tenth / 10):.1f}" '
        f'y2="{_y(tenth / 10):.1f}" stroke="#dddddd"/>'
        f'<text x="{_LEFT - 8}" y="{_y(tenth / 10) + 4:.1f}" text-anchor="end">{tenth / 10}</text>'
        for tenth in range(0, 11, 2)
    )
    step = -(-epochs // _MOST_LABELS)
    columns = "".join(
        f'<text x="{_x(epoch, epochs):.1f}" y="{_HEIGHT - _BOTTOM + 18}" '
        f'text-anchor="middle">{epoch}</text>'
        for epoch in range(step, epochs + 1, step)
    )
    return rows + columns


def _x(epoch: int, epochs: int) -> float:
    return _LEFT + _PLOT_WIDTH * epoch / epochs


def _y(value: float) -> float:
    return _TOP + _PLOT_HEIGHT * (1 - min(1.0, max(0.0, value)))
