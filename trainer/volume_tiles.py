"""Random tiles of one volume."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from trainer.augment import (
    Field,
    change_intensity,
    draw_cell,
    draw_cell_start,
    draw_field,
    happens,
)
from trainer.hyperparameters import Hyperparameters
from trainer.neighbours import neighbours
from trainer.training_volume import TrainingVolume


class VolumeTiles:
    """Draws tiles from whole sections of a volume."""

    def __init__(self, source: TrainingVolume, hyperparameters: Hyperparameters) -> None:
        self._volume = source.volume
        self._sections: Sequence[int] = source.train
        self._intensity = source.intensity
        self._hyperparameters = hyperparameters

    def draw(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Makes one tile: image (y, x, section) and mask (y, x), or (z, y, x, 1) and (z, y, x)."""
        section, field = self._place(random)
        seen = self._seen(random, section)
        image = np.stack([field.sample(self._volume.raw[near]) for near in seen], axis=-1)
        image = change_intensity(random, self._hyperparameters, self._intensity.scale(image))
        labelled = seen if self._hyperparameters.is_3d else [section]
        mask = np.stack([field.sample(self._volume.mask[near], labels=True) for near in labelled])
        mask = mask.astype(np.float32)
        if not self._hyperparameters.is_3d:
            return image, mask[0]
        return np.moveaxis(image, -1, 0)[..., np.newaxis], mask

    def _place(self, random: np.random.Generator) -> tuple[int, Field]:
        """A section, in 3D the first one of the tile, and where the tile lies in it."""
        hp, shape = self._hyperparameters, self._volume.raw.shape[1:]
        section = self._draw_section(random)
        target: tuple[float, float] | None = None
        if hp.tile_placement == "grid":
            target = draw_cell(random, hp, shape)
        elif random.random() < hp.foreground_share and self._foreground[-1]:
            section, target = self._draw_foreground(random)
            section = self._first_around(section) if hp.is_3d else section
        return section, draw_field(random, hp, shape, target)

    def _draw_section(self, random: np.random.Generator) -> int:
        hp, count = self._hyperparameters, len(self._sections)
        if not hp.is_3d:
            return self._sections[int(random.integers(count))]
        if hp.tile_placement == "grid":
            return self._sections[draw_cell_start(random, count, hp.tile_sections)]
        return self._sections[int(random.integers(count - hp.tile_sections + 1))]

    def _first_around(self, section: int) -> int:
        """The first section of the tile whose middle lies nearest to this one, within the block."""
        tile = self._hyperparameters.tile_sections
        first, last = self._sections[0], self._sections[-1] - tile + 1
        return min(max(section - tile // 2, first), last)

    def _draw_foreground(self, random: np.random.Generator) -> tuple[int, tuple[float, float]]:
        """A voxel of the foreground, all of them alike (nnU-Net draws a third of its tiles so)."""
        chosen = int(random.integers(self._foreground[-1]))
        index = int(np.searchsorted(self._foreground, chosen, side="right"))
        voxels = np.flatnonzero(self._volume.mask[self._sections[index]])
        before = int(self._foreground[index - 1]) if index else 0
        y, x = np.divmod(voxels[chosen - before], self._volume.mask.shape[2])
        return self._sections[index], (float(y), float(x))

    @cached_property
    def _foreground(self) -> np.ndarray:
        """Voxels of foreground up to and with each section."""
        mask = self._volume.mask
        return np.cumsum([np.count_nonzero(mask[section]) for section in self._sections])

    def _seen(self, random: np.random.Generator, section: int) -> list[int]:
        """The sections of the image, in their order; in 3D those of the tile, or mirrored."""
        hp = self._hyperparameters
        if not hp.is_3d:
            return neighbours(section, hp.section_offsets, self._sections)
        tile = list(range(section, section + hp.tile_sections))
        return tile[::-1] if happens(random, hp.flip_probability) else tile
