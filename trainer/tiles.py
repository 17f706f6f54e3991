"""Random tiles to train on, prepared beside the training step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from trainer.augment import draw_field, jitter_intensity
from trainer.hyperparameters import Hyperparameters
from trainer.intensity import Intensity
from trainer.volume import Volume

Batch = tuple[np.ndarray, np.ndarray]
"""Images and masks of a step, both (tile, y, x, channel), float32."""


class TileSource:
    """Draws tiles from whole sections; tile number i of a seed is always the same tile."""

    def __init__(
        self,
        volume: Volume,
        sections: Sequence[int],
        hyperparameters: Hyperparameters,
        intensity: Intensity,
        seed: int,
    ) -> None:
        self._volume = volume
        self._sections = sections
        self._hyperparameters = hyperparameters
        self._intensity = intensity
        self._seed = seed

    def tile(self, number: int) -> Batch:
        """Makes one tile: image and mask, both (y, x)."""
        random = np.random.default_rng((self._seed, number))
        section = self._sections[int(random.integers(len(self._sections)))]
        raw, mask = self._volume.raw[section], self._volume.mask[section]
        field = draw_field(random, self._hyperparameters, raw.shape)
        image = self._intensity.scale(field.sample(raw))
        image = jitter_intensity(random, self._hyperparameters, image)
        return image, field.sample(mask, labels=True).astype(np.float32)

    def batch(self, number: int) -> Batch:
        """Makes the tiles of one step."""
        size = self._hyperparameters.batch_size
        tiles = [self.tile(number * size + index) for index in range(size)]
        images, masks = (np.stack(part)[..., np.newaxis] for part in zip(*tiles, strict=True))
        return images, masks

    def batches(self, first: int, count: int, *, threads: int = 1) -> Iterator[Batch]:
        """Yields `count` batches from number `first` on, a few of them prepared ahead."""
        ahead = 2 * threads
        with ThreadPoolExecutor(threads, thread_name_prefix="tiles") as pool:
            waiting: deque[Future[Batch]] = deque()
            try:
                for number in range(first, first + count):
                    waiting.append(pool.submit(self.batch, number))
                    if len(waiting) > ahead:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
