"""What the pictures of an exploration show, where that can be read off the figure."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from trainer.phantom import build_phantom
from trainer.section_pictures import draw_deformations, draw_prism, draw_sections
from trainer.surfaces import draw_surfaces

VOLUME = build_phantom(24, 96, 96, seed=1)
EDGES = (0.02, 0.005, 0.005)


def pixels(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)


def corners_of(figure: Figure) -> np.ndarray:
    """What matplotlib was given to draw, (corner, x y z)."""
    return np.asarray(figure.axes[0].collections[0]._faces).reshape(-1, 3)


def test_surfaces_are_where_the_objects_are() -> None:
    labels = np.zeros((20, 60, 80), np.uint16)
    labels[5:15, 10:30, 20:50] = 1
    figure = draw_surfaces(labels, EDGES, "µm")
    axes = figure.axes[0]
    corners = corners_of(figure)
    assert corners.min(axis=0) == pytest.approx([20 * 0.005, 10 * 0.005, 5 * 0.02], abs=0.01)
    assert corners.max(axis=0) == pytest.approx([50 * 0.005, 30 * 0.005, 15 * 0.02], abs=0.01)
    assert axes.get_xlabel() == "x, µm"
    assert not axes.collections[0].get_clip_on()  # nothing is cut off at the sides


def test_surfaces_of_a_thinned_volume_keep_their_places() -> None:
    labels = np.zeros((30, 600, 900), np.uint8)
    labels[9:21, 303:402, 150:300] = 3
    corners = corners_of(draw_surfaces(labels, (1, 1, 1), "voxels"))
    assert corners.min(axis=0) == pytest.approx([150, 303, 9], abs=4)
    assert corners.max(axis=0) == pytest.approx([300, 402, 21], abs=4)


def test_each_object_has_a_colour_of_its_own_and_is_lit() -> None:
    labels = np.zeros((20, 60, 80), np.uint8)
    labels[5:15, 10:30, 10:30], labels[5:15, 30:50, 40:70] = 1, 2
    figure = draw_surfaces(labels, (1, 1, 1), "voxels")
    colours = figure.axes[0].collections[0].get_facecolor()[:, :3]
    shades = {tuple(np.round(colour / max(colour.max(), 1e-9), 2)) for colour in colours}
    assert len(shades) >= 2
    assert np.ptp(colours.max(axis=1)) > 0.1


def test_a_volume_whose_objects_vanish_in_thinning_is_drawn_empty() -> None:
    labels = np.zeros((4, 900, 900), np.uint8)
    labels[1, 5, 5] = 1
    assert pixels(draw_surfaces(labels, (1, 1, 1), "voxels")).size > 0


def test_sections_have_outlines_only_with_a_mask() -> None:
    plain = pixels(draw_sections(VOLUME.raw, None, EDGES, "µm"))
    outlined = pixels(draw_sections(VOLUME.raw, VOLUME.mask, EDGES, "µm"))

    def orange(picture: np.ndarray) -> int:
        return int(np.count_nonzero(picture[..., 0] - picture[..., 2] > 120))

    assert orange(plain) == 0
    assert orange(outlined) > 500


def test_the_block_shows_three_faces() -> None:
    raw = np.zeros((20, 60, 80), np.uint8)
    raw[0], raw[1:, 0], raw[1:, :, -1] = 100, 180, 250
    raw[0, :3, :3] = 0
    figure = draw_prism(raw, (1, 1, 1), "voxels")
    assert len(figure.axes[0].images) == 3
    seen = pixels(figure)
    gray = seen[(np.ptp(seen, axis=2) == 0)][:, 0]
    common = [value for value, count in zip(*np.unique(gray, return_counts=True), strict=True)
              if count > 2000]  # fmt: skip
    assert len([value for value in common if 20 < value < 255]) >= 2


def test_a_stronger_deformation_changes_more_of_the_tile() -> None:
    figure = draw_deformations(VOLUME.raw, VOLUME.mask)
    plain, *changed = [
        np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images
    ]
    differences = [float(np.abs(tile - plain).mean()) for tile in changed]
    assert differences[:3] == sorted(differences[:3])
    assert differences[3:] == sorted(differences[3:])
