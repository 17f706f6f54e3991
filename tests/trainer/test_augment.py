from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from trainer.augment import Field, change_intensity, draw_field
from trainer.hyperparameters import Hyperparameters

SIZE = 32
SECTION = (70, 90)
# The interpolation of cv2 knows 32 places between two voxels.
STEP = 1 / 32 + 1e-4


def hyperparameters(**values: Any) -> Hyperparameters:
    still = {"flip_probability": 0.0, "rotation_degrees": 0.0, "zoom": 0.0}
    return Hyperparameters(**{"depth": 2, "tile_size": SIZE, **still, **values})


def draw(seed: int, section: tuple[int, int] = SECTION, **values: Any) -> Field:
    return draw_field(np.random.default_rng(seed), hyperparameters(**values), section)


EVERYTHING = {"flip_probability": 0.5, "rotation_degrees": 180.0, "zoom": 0.5}
KINDS = [
    {},
    {"flip_probability": 1.0},
    {"rotation_degrees": 180.0},
    {"zoom": 0.9},
    EVERYTHING,
    {"elastic_probability": 1.0, "elastic_alpha": 200.0, "elastic_sigma": 5.0},
    {**EVERYTHING, "elastic_probability": 1.0, "elastic_alpha": 100.0},
    {**EVERYTHING, "tile_size": 64},  # reaches beyond the section when it is turned
]


class Fixed:
    """Draws the same share of every range, and no flips."""

    def __init__(self, share: float) -> None:
        self._share = share

    def uniform(self, low: float, high: float) -> float:
        return low + self._share * (high - low)

    def random(self, size: int | None = None) -> np.ndarray | float:
        return 1.0 if size is None else np.ones(size)

    def integers(self, low: int, _high: int) -> int:
        return low


@pytest.mark.parametrize("values", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_image_and_mask_come_from_the_same_places(values: dict[str, Any], seed: int) -> None:
    # Image and mask hold where they are: the place that one is read at, the other rounds.
    field = draw(seed, **values)
    for places in np.indices(SECTION):
        image = field.sample(places.astype(np.float32))
        mask = field.sample(places.astype(np.uint8), labels=True)
        assert np.abs(image - mask).max() <= 0.5 + STEP


@pytest.mark.parametrize("values", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_an_image_that_shows_its_mask_agrees_with_it(values: dict[str, Any], seed: int) -> None:
    mask = (np.random.default_rng(seed).random((14, 18)) < 0.4).astype(np.uint8)
    mask = np.kron(mask, np.ones((5, 5), np.uint8))
    field = draw(seed, **values)
    image, labels = field.sample(mask * 200), field.sample(mask, labels=True)
    pure = (image == 0) | (image == 200)
    assert pure.mean() > 0.4
    assert np.array_equal(image[pure], labels[pure] * 200)
    assert np.array_equal(field.sample(mask * 200, labels=True), labels * 200)


@pytest.mark.parametrize("seed", range(5))
def test_an_upright_tile_is_an_exact_cut(seed: int) -> None:
    field = draw(seed)
    section = np.random.default_rng(0).integers(0, 65536, SECTION).astype(np.uint16)
    top, left = int(field.y[0, 0]), int(field.x[0, 0])
    cut = section[top : top + SIZE, left : left + SIZE]
    assert np.array_equal(field.sample(section), cut)
    assert np.array_equal(field.sample(section, labels=True), cut)


def test_a_tile_as_large_as_the_section_is_the_section() -> None:
    section = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    assert np.array_equal(draw(1, (64, 64), tile_size=64).sample(section), section)


def test_both_flips_turn_the_section_by_half() -> None:
    section = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    field = draw(1, (64, 64), tile_size=64, flip_probability=1.0)
    assert np.array_equal(field.sample(section), section[::-1, ::-1])
    assert np.array_equal(field.sample(section, labels=True), section[::-1, ::-1])


def test_each_axis_is_flipped_on_its_own() -> None:
    section = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    tiles = {
        draw(seed, (64, 64), tile_size=64, flip_probability=0.5).sample(section).tobytes()
        for seed in range(40)
    }
    flips = (section, section[::-1], section[:, ::-1], section[::-1, ::-1])
    assert tiles == {np.ascontiguousarray(flip).tobytes() for flip in flips}


@pytest.mark.parametrize("labels", [False, True])
def test_a_quarter_turn_is_a_quarter_turn(labels: bool) -> None:
    section = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.float32)
    turned = hyperparameters(tile_size=64, rotation_degrees=180.0)
    field = draw_field(Fixed(0.75), turned, (64, 64))  # type: ignore[arg-type]
    tile = field.sample(section, labels=labels)
    np.testing.assert_allclose(tile, np.rot90(section, -1), atol=0.01)


@pytest.mark.parametrize(("share", "factor"), [(0.0, 1 / 1.5), (0.5, 1.0), (1.0, 1.5)])
def test_zoom_is_the_largest_factor_either_way(share: float, factor: float) -> None:
    field = draw_field(Fixed(share), hyperparameters(zoom=0.5), SECTION)  # type: ignore[arg-type]
    np.testing.assert_allclose(np.diff(field.y, axis=0), 1 / factor, rtol=1e-5)
    np.testing.assert_allclose(np.diff(field.x, axis=1), 1 / factor, rtol=1e-5)


@pytest.mark.parametrize("values", KINDS)
def test_no_tile_has_vacant_corners(values: dict[str, Any]) -> None:
    section = np.ones(SECTION, np.uint8)
    for seed in range(20):
        field = draw(seed, **values)
        assert field.sample(section).all()
        assert field.sample(section, labels=True).all()


def test_a_tile_that_fits_reaches_no_further_than_the_section() -> None:
    for seed in range(100):
        field = draw(seed, **EVERYTHING)
        for axis, extent in zip((field.y, field.x), SECTION, strict=True):
            assert axis.min() > -0.01
            assert axis.max() < extent - 0.99


def test_tiles_come_from_the_whole_section() -> None:
    fields = [draw(seed) for seed in range(600)]
    for name, extent in (("y", SECTION[0]), ("x", SECTION[1])):
        starts = {int(getattr(field, name).min()) for field in fields}
        assert starts == set(range(extent - SIZE + 1))


def test_the_intensity_stays_where_nothing_may_change() -> None:
    tile = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    still = hyperparameters(brightness=0.0, contrast=0.0)
    changed = change_intensity(np.random.default_rng(1), still, tile)
    np.testing.assert_allclose(changed, tile, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_brightness_shifts_and_contrast_stretches_about_the_middle(seed: int) -> None:
    limits = hyperparameters(brightness=0.2, contrast=0.3)
    tile = np.array([[0.0, 0.5, 1.0]], np.float32)
    dark, middle, bright = change_intensity(np.random.default_rng(seed), limits, tile)[0]
    assert abs(middle - 0.5) <= 0.2
    assert 0.7 <= bright - dark <= 1.3
    assert bright - middle == pytest.approx(middle - dark, abs=1e-6)


def test_the_whole_range_of_contrast_and_brightness_is_drawn() -> None:
    limits = hyperparameters(brightness=0.2, contrast=0.3)
    random, tile = np.random.default_rng(0), np.array([[0.0, 1.0]], np.float32)
    tiles = np.stack([change_intensity(random, limits, tile)[0] for _ in range(300)])
    contrasts, middles = np.diff(tiles, axis=1), tiles.mean(axis=1)
    assert contrasts.min() < 0.75 < 1.25 < contrasts.max()
    assert middles.min() < 0.32 < 0.68 < middles.max()
    assert tiles.dtype == np.float32


@pytest.mark.parametrize(
    ("axes", "flipped"),
    [("vertical", lambda s: s[::-1]), ("horizontal", lambda s: s[:, ::-1])],
)
def test_a_flip_is_about_the_axis_that_it_names(axes: str, flipped: Any) -> None:
    section = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    field = draw(1, (64, 64), tile_size=64, flip_probability=1.0, flip_axes=axes)
    assert np.array_equal(field.sample(section), flipped(section))


@pytest.mark.parametrize("kind", ["rotation", "zoom", "elastic"])
def test_a_deformation_comes_as_often_as_its_probability_says(kind: str) -> None:
    values = {"rotation_degrees": 90.0, "zoom": 0.5, "elastic_alpha": 100.0}
    for other in ("rotation", "zoom", "elastic"):
        values[f"{other}_probability"] = 0.3 if other == kind else 0.0
    plain = draw(0)
    upright = [np.ptp(draw(seed, **values).y - plain.y) < 1e-3 for seed in range(400)]
    assert 0.6 < np.mean(upright) < 0.8


def test_a_blur_is_that_of_scipy() -> None:
    tile = np.random.default_rng(0).random((40, 40, 3)).astype(np.float32)
    limits = hyperparameters(
        blur_probability=1.0, blur_sigma=2.0, brightness_probability=0.0, contrast_probability=0.0
    )
    blurred = change_intensity(Fixed(1.0), limits, tile)  # type: ignore[arg-type]
    expected = ndimage.gaussian_filter(tile, (2, 2, 0), mode="mirror")
    np.testing.assert_allclose(blurred, expected, atol=2e-3)
    assert change_intensity(Fixed(1.0), limits, tile[..., :1]).shape == (40, 40, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("sections", [128, 129, 300])
def test_a_tile_of_many_sections_is_blurred_section_by_section(sections: int) -> None:
    tile = np.random.default_rng(0).random((8, 9, sections)).astype(np.float32)
    limits = hyperparameters(
        blur_probability=1.0, blur_sigma=2.0, brightness_probability=0.0, contrast_probability=0.0
    )
    blurred = change_intensity(Fixed(1.0), limits, tile)  # type: ignore[arg-type]
    for section in (0, 127, sections - 1):
        alone = change_intensity(Fixed(1.0), limits, tile[..., section : section + 1])  # type: ignore[arg-type]
        np.testing.assert_allclose(blurred[..., section : section + 1], alone, atol=1e-6)


def test_noise_has_no_mean_and_at_most_its_deviation() -> None:
    limits = hyperparameters(
        noise_probability=1.0, noise=0.2, brightness_probability=0.0, contrast_probability=0.0
    )
    tile = np.full((128, 128, 1), 0.4, np.float32)
    deviations = []
    for seed in range(60):
        noisy = change_intensity(np.random.default_rng(seed), limits, tile)
        assert noisy.dtype == np.float32
        assert abs(noisy.mean() - 0.4) < 0.01
        deviations.append(float(noisy.std()))
    assert max(deviations) < 0.205
    assert min(deviations) < 0.03 < 0.15 < max(deviations)


@pytest.mark.parametrize("labels", [False, True])
def test_a_section_wider_than_opencv_counts_is_sampled_like_any_other(
    monkeypatch: pytest.MonkeyPatch, labels: bool
) -> None:
    section = np.random.default_rng(0).integers(0, 256, (90, 100)).astype(np.uint8)
    tile = draw(3, (90, 100), **EVERYTHING)
    rows, columns = np.indices((90, 100), dtype=np.float32)
    beyond = Field(rows * 1.0917 - 4, columns * 1.0917 - 4)
    expected = [each.sample(section, labels=labels) for each in (tile, beyond)]
    monkeypatch.setattr("trainer.augment._OPENCV_SIDE", 60)
    for each, plain in zip((tile, beyond), expected, strict=True):
        # A place halfway between two voxels may be rounded the other way.
        differing = np.abs(each.sample(section, labels=labels).astype(int) - plain) > 1
        assert differing.mean() < 0.02


def test_a_tile_of_a_very_wide_section_is_cut() -> None:
    section = np.arange(33_000, dtype=np.float32)[np.newaxis].repeat(64, axis=0)
    for seed in range(5):
        field = draw(seed, section.shape, tile_size=32)
        np.testing.assert_allclose(field.sample(section), field.x, atol=0.05)
