"""What the pictures of an exploration show, where that can be read off the figure."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from trainer import surfaces as module
from trainer.contrast import measure_contrast
from trainer.exploration_charts import draw_intensities
from trainer.phantom import build_phantom
from trainer.section_pictures import draw_deformations, draw_prism, draw_sections
from trainer.surfaces import draw_surfaces, find_surfaces

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
    figure = draw_surfaces(find_surfaces(labels), EDGES, "µm")
    axes = figure.axes[0]
    corners = corners_of(figure)
    assert corners.min(axis=0) == pytest.approx([20 * 0.005, 10 * 0.005, 5 * 0.02], abs=0.01)
    assert corners.max(axis=0) == pytest.approx([50 * 0.005, 30 * 0.005, 15 * 0.02], abs=0.01)
    assert axes.get_xlabel() == "x, µm"
    assert not axes.collections[0].get_clip_on()  # nothing is cut off at the sides


def test_surfaces_of_a_thinned_volume_keep_their_places() -> None:
    labels = np.zeros((30, 600, 900), np.uint8)
    labels[9:21, 303:402, 150:300] = 3
    corners = corners_of(draw_surfaces(find_surfaces(labels), (1, 1, 1), "voxels"))
    assert corners.min(axis=0) == pytest.approx([150, 303, 9], abs=4)
    assert corners.max(axis=0) == pytest.approx([300, 402, 21], abs=4)


def cubes(count: int) -> np.ndarray:
    """Objects of 4 x 4 x 4 voxels in a row, each with a number of its own."""
    labels = np.zeros((8, 8, 6 * count + 2), np.uint16)
    for number in range(count):
        labels[2:6, 2:6, 6 * number + 2 : 6 * number + 6] = number + 1
    return labels


def test_each_object_has_a_colour_of_its_own_and_is_lit() -> None:
    figure = draw_surfaces(find_surfaces(cubes(30)), (1, 1, 1), "voxels")
    colours = figure.axes[0].collections[0].get_facecolor()[:, :3]
    # The light changes how bright a colour is, and nothing else.
    shades = {tuple(np.round(colour / colour.max(), 4)) for colour in colours}
    assert len(shades) == 30
    assert np.ptp(colours.max(axis=1)) > 0.1


def test_as_many_colours_as_objects_are_drawn_are_all_different() -> None:
    colours = (module._choose_colours(module._MOST_OBJECTS) * 255).round().astype(int)
    assert len({tuple(colour) for colour in colours}) == module._MOST_OBJECTS


def test_a_volume_whose_objects_vanish_in_thinning_is_drawn_empty_and_that_is_said() -> None:
    labels = np.zeros((4, 900, 900), np.uint8)
    labels[1, 5, 5] = 1
    surfaces = find_surfaces(labels)
    assert pixels(draw_surfaces(surfaces, (1, 1, 1), "voxels")).size > 0
    assert surfaces.describe().startswith("0 objects")
    assert surfaces.describe().endswith("Left out are 1 too small for it.")


def test_of_many_objects_the_largest_are_drawn_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = cubes(9)
    assert "Left out" not in find_surfaces(labels).describe()
    assert "alike" not in find_surfaces(labels).describe()
    assert "some are alike" in find_surfaces(cubes(21)).describe()
    monkeypatch.setattr(module, "_MOST_OBJECTS", 3)
    # A long thin object has the largest box, and not the most voxels.
    labels[0, 0, :7] = 10
    surfaces = find_surfaces(labels)
    assert (surfaces.drawn, surfaces.beyond) == (3, 7)
    assert surfaces.triangles[..., 0].min() > 1
    assert surfaces.describe().startswith("3 objects, each in a colour of its own, in")
    assert surfaces.describe().endswith("Left out are 7 beyond the 3 largest.")


def test_every_line_of_the_intensities_is_in_a_legend() -> None:
    figure = draw_intensities(measure_contrast(VOLUME.raw, VOLUME.mask))
    for axes in figure.axes:
        legend = axes.get_legend()
        assert legend is not None
        named = [text.get_text() for text in legend.get_texts()]
        assert any(name.startswith("best threshold, ") for name in named)


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
