from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from trainer.hyperparameters import Hyperparameters
from trainer.intensity import Intensity
from trainer.tiles import TileSource
from trainer.training_volume import TrainingVolume
from trainer.volume import Volume
from trainer.volume_tiles import VolumeTiles

SHAPE = (6, 48, 60)
IDENTITY = Intensity(0.0, 1.0)
STILL = {
    "flip_probability": 0.0,
    "rotation_degrees": 0.0,
    "zoom": 0.0,
    "brightness": 0.0,
    "contrast": 0.0,
}


def volume() -> Volume:
    random = np.random.default_rng(0)
    raw = random.integers(0, 1000, SHAPE).astype(np.uint16)
    return Volume(raw, (raw > 600).astype(np.uint8), None)


def source(
    of: Volume | None = None,
    sections: Sequence[int] = range(6),
    intensity: Intensity = IDENTITY,
    seed: int = 5,
    **values: Any,
) -> TileSource:
    hp = Hyperparameters(**{"depth": 2, "tile_size": 16, "batch_size": 3, **values})
    learned = TrainingVolume(of or volume(), sections, (), intensity)
    return TileSource([learned], hp, seed)


def test_the_same_seed_and_number_give_the_same_tile() -> None:
    for number in (0, 1, 17, 10**9):
        for one, other in zip(source().tile(number), source().tile(number), strict=True):
            assert np.array_equal(one, other)


def test_another_number_or_seed_gives_another_tile() -> None:
    tiles = [source(seed=seed).tile(number)[0] for seed in (5, 6) for number in range(4)]
    assert len({tile.tobytes() for tile in tiles}) == len(tiles)


def test_the_order_of_asking_does_not_matter() -> None:
    tiles = source()
    later = tiles.tile(9)[0]
    tiles.tile(2)
    assert np.array_equal(tiles.tile(9)[0], later)


def test_an_unchanged_tile_is_cut_out_of_one_section() -> None:
    whole = volume()
    image, mask = source(whole, **STILL).tile(0)
    windows = np.lib.stride_tricks.sliding_window_view(whole.raw, (16, 16), axis=(1, 2))
    places = np.argwhere((windows == np.rint(image[..., 0])).all(axis=(-1, -2)))
    assert len(places) == 1
    z, y, x = places[0]
    assert np.array_equal(mask, whole.mask[z, y : y + 16, x : x + 16])


def test_image_and_mask_stay_together_through_everything() -> None:
    mask = np.kron(np.random.default_rng(1).random((2, 8, 10)) < 0.5, np.ones((3, 6, 6)))
    shown = Volume((200 * mask).astype(np.uint8), mask.astype(np.uint8), None)
    tiles = source(shown, brightness=0.0, contrast=0.0, zoom=0.5)
    for number in range(10):
        image, labels = tiles.tile(number)
        image = image[..., 0]
        pure = (image < 0.01) | (image > 199.99)
        assert pure.mean() > 0.3
        np.testing.assert_allclose(image[pure], 200 * labels[pure], atol=0.01)


def test_a_mask_is_never_blended_between_its_values() -> None:
    labelled = Volume(volume().raw, volume().mask * np.uint8(200), None)
    tiles = source(labelled, zoom=0.5)
    assert set(np.unique(np.stack([tiles.tile(n)[1] for n in range(10)]))) == {0.0, 200.0}


def test_only_the_sections_named_are_read() -> None:
    raw = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones(SHAPE, np.uint8)
    levels = Volume(raw, np.zeros(SHAPE, np.uint8), None)
    tiles = source(levels, range(2, 5), brightness=0.0, contrast=0.0)
    seen = {float(tiles.tile(number)[0].mean().round(3)) for number in range(40)}
    assert seen == {2.0, 3.0, 4.0}


def test_the_intensity_of_the_volume_is_applied() -> None:
    flat = Volume(np.full(SHAPE, 150, np.uint8), np.zeros(SHAPE, np.uint8), None)
    image, _ = source(flat, intensity=Intensity(100.0, 200.0), brightness=0.0).tile(0)
    np.testing.assert_allclose(image, 0.5, atol=1e-6)


def test_a_tile_as_large_as_the_section_is_the_section() -> None:
    square = Volume(volume().raw[:, :48, :48], volume().mask[:, :48, :48], None)
    image, mask = source(square, range(1), tile_size=48, **STILL).tile(3)
    np.testing.assert_allclose(image[..., 0], square.raw[0], atol=1e-3)
    assert np.array_equal(mask, square.mask[0])


def test_a_batch_is_the_next_tiles_with_a_channel() -> None:
    tiles = source()
    images, masks = tiles.batch(2)
    assert images.shape == masks.shape == (3, 16, 16, 1)
    assert images.dtype == masks.dtype == np.float32
    assert set(np.unique(masks)) <= {0.0, 1.0}
    for index in range(3):
        image, mask = tiles.tile(6 + index)
        assert np.array_equal(images[index], image)
        assert np.array_equal(masks[index, ..., 0], mask)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 11])
def test_batches_are_those_of_batch_in_order(threads: int, count: int) -> None:
    tiles = source()
    drawn = list(tiles.batches(4, count, threads=threads))
    assert len(drawn) == count
    for number, (images, masks) in enumerate(drawn, start=4):
        expected = tiles.batch(number)
        assert np.array_equal(images, expected[0])
        assert np.array_equal(masks, expected[1])


def test_who_stops_half_way_leaves_no_thread_behind() -> None:
    batches = source().batches(0, 10_000, threads=2)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tiles")]


def test_only_a_few_batches_are_prepared_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    tiles, asked = source(), []
    batch = tiles.batch
    monkeypatch.setattr(tiles, "batch", lambda number: (asked.append(number), batch(number))[1])
    batches = tiles.batches(0, 100, threads=2)
    next(batches)
    time.sleep(0.05)
    assert 1 <= len(asked) <= 5
    batches.close()  # type: ignore[attr-defined]


def test_who_waits_for_a_batch_is_told_before(monkeypatch: pytest.MonkeyPatch) -> None:
    tiles, late, may_go = source(), [], threading.Event()
    batch = tiles.batch
    monkeypatch.setattr(tiles, "batch", lambda number: (may_go.wait(10), batch(number))[1])

    def tell() -> None:
        late.append(len(drawn))
        may_go.set()

    drawn: list[Any] = []
    for images, _ in tiles.batches(0, 3, when_late=tell):
        drawn.append(images)
        # Long enough for the others to be ready.
        time.sleep(0.5)
    assert (len(drawn), late[0]) == (3, 0)
    assert len(late) < 3


def test_an_error_in_a_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(number: int) -> None:
        raise MemoryError(f"batch {number}")

    tiles = source()
    monkeypatch.setattr(tiles, "batch", fail)
    with pytest.raises(MemoryError, match="batch 0"):
        list(tiles.batches(0, 5))


def test_neighbouring_sections_are_channels_and_none_is_seen_beyond_the_block() -> None:
    raw = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones(SHAPE, np.uint8)
    levels = Volume(raw, np.zeros(SHAPE, np.uint8), None)
    tiles = source(levels, range(1, 5), section_channels=5, brightness=0.0, contrast=0.0)
    seen = {tuple(tiles.tile(number)[0].mean((0, 1)).round(3)) for number in range(60)}
    assert seen == {(1, 1, 1, 2, 3), (1, 1, 2, 3, 4), (1, 2, 3, 4, 4), (2, 3, 4, 4, 4)}
    assert tiles.batch(0)[0].shape == (3, 16, 16, 5)


def test_channels_may_lie_some_sections_apart() -> None:
    raw = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones(SHAPE, np.uint8)
    levels = Volume(raw, np.zeros(SHAPE, np.uint8), None)
    channels = {"section_channels": 3, "section_step": 2}
    tiles = source(levels, range(1, 5), brightness=0.0, contrast=0.0, **channels)
    seen = {tuple(tiles.tile(number)[0].mean((0, 1)).round(3)) for number in range(60)}
    assert seen == {(1, 1, 3), (1, 2, 4), (1, 3, 4), (2, 4, 4)}


def test_every_channel_is_taken_from_the_same_places() -> None:
    same = Volume(np.repeat(volume().raw[:1], 6, axis=0), volume().mask, None)
    image, _ = source(same, section_channels=3, elastic_probability=1.0, zoom=0.5).tile(2)
    assert np.array_equal(image[..., 0], image[..., 1])
    assert np.array_equal(image[..., 1], image[..., 2])


@pytest.mark.parametrize("values", [STILL, {"zoom": 0.3}, {"elastic_probability": 1.0}])
def test_tiles_are_centred_on_foreground_as_often_as_asked(values: dict[str, Any]) -> None:
    mask = np.zeros((6, 96, 120), np.uint8)
    mask[4, 90, 3] = mask[2, 40:42, 60:62] = 1
    rare = Volume(mask * np.uint8(200), mask, None)

    def found(share: float) -> float:
        tiles = source(rare, foreground_share=share, **values)
        return float(np.mean([tiles.tile(number)[0].max() > 50 for number in range(150)]))

    assert found(0.0) < 0.1
    assert found(1.0) > 0.85  # a turned tile may miss a voxel at the border
    assert 0.35 < found(0.5) < 0.7


def test_all_foreground_voxels_are_drawn_alike() -> None:
    mask = np.zeros((6, 96, 120), np.uint8)
    mask[1, 20:30, 20:30] = mask[4, 60:70, 60:90] = 1
    rare = Volume(mask, mask, None)
    hp = Hyperparameters(depth=2, foreground_share=1.0, tile_size=8, **STILL)
    tiles = VolumeTiles(TrainingVolume(rare, range(1, 6), (), IDENTITY), hp)
    low = np.mean([tiles._place(np.random.default_rng(seed))[0] == 1 for seed in range(400)])
    assert 0.18 < low < 0.32


def test_the_cells_of_a_grid_cover_the_section() -> None:
    raw = np.arange(48 * 60, dtype=np.uint16).reshape(1, 48, 60)
    placed = Volume(raw, np.zeros(raw.shape, np.uint8), None)
    tiles = source(placed, range(1), tile_placement="grid", **STILL)
    cells = {tuple(np.rint(tiles.tile(n)[0][..., 0]).astype(int).ravel()) for n in range(300)}
    assert len(cells) == 3 * 4
    assert set().union(*cells) == set(range(48 * 60))


def test_a_tile_is_moved_out_of_its_cell_by_a_share_of_its_side() -> None:
    raw = np.tile(np.arange(64, dtype=np.float32), (1, 64, 1))
    placed = Volume(raw, np.zeros(raw.shape, np.uint8), None)
    values = {**STILL, "tile_placement": "grid", "shift_probability": 1.0, "shift": 0.25}
    tiles = source(placed, range(1), **values)
    middles = np.array([tiles.tile(n)[0].mean() for n in range(200)])
    moved = np.abs(middles[:, None] - (16 * np.arange(4) + 7.5)).min(axis=1)
    assert 3 < moved.max() <= 4.01


def test_the_voxel_that_was_drawn_is_the_centre() -> None:
    mask = np.zeros((6, 96, 120), np.uint8)
    mask[1, 30:50, 30:60] = 1
    mask[4, 60:80, 30:90] = 1
    columns = np.broadcast_to(np.arange(120, dtype=np.float32), mask.shape)
    tiles = source(Volume(columns, mask, None), foreground_share=1.0, **STILL)
    drawn = [tiles.tile(number) for number in range(200)]
    assert all(labels[7:9, 7:9].any() for _, labels in drawn)
    centres = [float(image.mean()) for image, _ in drawn]
    assert min(centres) < 33 < 85 < max(centres)


SOLID = {"dimensions": "3d", "tile_sections": 3}


def marked(sections: int = 8) -> Volume:
    """A volume whose every voxel says where it lies, in its values and in its mask."""
    z, y, x = np.mgrid[:sections, :48, :60]
    raw = (z * 4000 + y * 60 + x).astype(np.uint16)
    return Volume(raw, ((y // 6 + x // 6 + z) % 2).astype(np.uint8), None)


def test_a_3d_tile_is_cut_out_of_neighbouring_sections() -> None:
    whole = marked()
    batch = source(whole, range(1, 8), **SOLID, **STILL).batch(0)
    assert [part.shape for part in batch] == [(3, 3, 16, 16, 1)] * 2
    assert {part.dtype.name for part in batch} == {"float32"}
    for image, mask in zip(*batch, strict=True):
        z, rest = np.divmod(np.rint(image[..., 0]).astype(int), 4000)
        y, x = np.divmod(rest, 60)
        assert (np.diff(z[:, 0, 0]) == 1).all()
        assert 1 <= z.min() <= z.max() < 8
        assert np.array_equal(mask[..., 0], whole.mask[z, y, x])


def test_a_3d_tile_is_mirrored_along_z_with_its_mask() -> None:
    whole = marked()
    tiles = source(whole, range(8), **SOLID, **(STILL | {"flip_probability": 0.5}))
    upwards = set()
    for number in range(30):
        image, mask = tiles.tile(number)
        z, rest = np.divmod(np.rint(image[..., 0]).astype(int), 4000)
        assert np.array_equal(mask, whole.mask[z, rest // 60, rest % 60])
        upwards.add(int(z[1, 0, 0] - z[0, 0, 0]))
    assert upwards == {-1, 1}


def test_one_field_deforms_all_sections_of_a_3d_tile() -> None:
    same = Volume(np.repeat(volume().raw[:1], 6, axis=0), volume().mask[:1].repeat(6, 0), None)
    image, mask = source(same, **SOLID, elastic_probability=1.0, zoom=0.5, noise=0.0).tile(2)
    assert image.std() > 0
    for section in (1, 2):
        assert np.array_equal(image[0], image[section])
        assert np.array_equal(mask[0], mask[section])


@pytest.mark.parametrize("placement", ["random", "grid"])
def test_3d_tiles_reach_all_of_the_block_and_nothing_else(placement: str) -> None:
    tiles = source(marked(), range(1, 8), **SOLID, tile_placement=placement, **STILL)
    starts = {int(tiles.tile(number)[0].min() // 4000) for number in range(120)}
    assert starts == ({1, 2, 3, 4, 5} if placement == "random" else {1, 3, 5})


def test_a_3d_tile_is_centred_on_the_voxel_that_was_drawn() -> None:
    mask = np.zeros((9, 96, 120), np.uint8)
    mask[6, 41, 60] = mask[0, 50, 71] = 1
    tiles = source(Volume(mask, mask, None), range(9), **SOLID, foreground_share=1.0, **STILL)
    found = [np.argwhere(tiles.tile(number)[1]).tolist() for number in range(20)]
    # In the middle section, or in the first where the block begins.
    assert {tuple(place[0][:1]) for place in found} == {(1,), (0,)}
    # One voxel and no other: an upright tile is cut out, whatever it is centred on.
    assert all(len(place) == 1 for place in found)
    assert all(place[0][1] in (7, 8) and place[0][2] in (7, 8) for place in found)


def test_an_upright_tile_that_is_centred_on_foreground_is_cut_out_without_interpolation() -> None:
    random = np.random.default_rng(3)
    raw = random.integers(0, 256, (1, 51, 64)).astype(np.uint8)
    mask = (random.random(raw.shape) < 0.02).astype(np.uint8)
    shares = {**STILL, "foreground_share": 1.0}
    hp = Hyperparameters(depth=2, tile_size=16, **shares)
    learned = [TrainingVolume(Volume(raw, mask, None), range(1), (), IDENTITY)]
    tiles = TileSource(learned, hp, 5)
    cut = np.lib.stride_tricks.sliding_window_view(raw[0], (16, 16))
    for number in range(30):
        image, label = tiles.tile(number)
        ((y, x),) = np.argwhere((cut == image[..., 0]).all(axis=(2, 3)))
        np.testing.assert_array_equal(label, mask[0, y : y + 16, x : x + 16])


def several(*volumes: Volume, seed: int = 5) -> TileSource:
    hp = Hyperparameters(depth=2, tile_size=16, batch_size=3, **{**STILL, "foreground_share": 0.5})
    learned = [TrainingVolume(each, range(len(each.raw)), (), IDENTITY) for each in volumes]
    return TileSource(learned, hp, seed)


def level(value: int, sections: int, side: int) -> Volume:
    raw = np.full((sections, side, side), value, np.uint8)
    return Volume(raw, (raw > 10).astype(np.uint8), None)


def test_a_volume_is_drawn_as_often_as_it_has_voxels() -> None:
    tiles = several(level(10, 6, 32), level(20, 2, 32), level(30, 1, 64))
    drawn = [round(float(tiles.tile(number)[0].mean())) for number in range(600)]
    shares = [drawn.count(value) / 600 for value in (10, 20, 30)]
    np.testing.assert_allclose(shares, [6 / 12, 2 / 12, 4 / 12], atol=0.06)


def test_image_and_mask_of_a_tile_are_of_the_same_volume() -> None:
    tiles = several(level(10, 2, 32), level(20, 2, 32))
    for number in range(30):
        image, mask = tiles.tile(number)
        assert (image > 10).all() == mask.all() == (image > 10).any() == mask.any()


def test_tiles_of_several_volumes_are_the_same_at_every_asking() -> None:
    one, other = (several(volume(), level(7, 3, 64)) for _ in range(2))
    for number in (0, 3, 10**6):
        for first, second in zip(one.tile(number), other.tile(number), strict=True):
            assert np.array_equal(first, second)
    seen = [several(volume(), level(7, 3, 64), seed=seed).tile(0)[0] for seed in range(4)]
    assert len({tile.tobytes() for tile in seen}) > 1


def test_to_choose_of_one_volume_changes_no_tile() -> None:
    hp = Hyperparameters(depth=2, tile_size=16)
    learned = TrainingVolume(volume(), range(6), (), IDENTITY)
    alone = VolumeTiles(learned, hp)
    for number in range(5):
        expected = alone.draw(np.random.default_rng((5, number)))
        for first, second in zip(TileSource([learned], hp, 5).tile(number), expected, strict=True):
            assert np.array_equal(first, second)
