"""Random tiles to train on, prepared beside the training step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np

from trainer.hyperparameters import Hyperparameters
from trainer.training_volume import TrainingVolume
from trainer.volume_tiles import VolumeTiles

Batch = tuple[np.ndarray, np.ndarray]
"""Images (tile, y, x, section) and masks (tile, y, x, 1) of a step, float32.

In 3D both are (tile, z, y, x, 1).
"""

_MOST_THREADS = 4
"""More of them only wait for each other, and for Python itself: on 16 cores eight threads made
fewer tiles than four, and the training step waited for its turn among them."""


class TileSource:
    """Draws tiles from volumes; tile number i of a seed is always the same tile.

    A volume is drawn with a probability proportional to its voxels to train on.
    """

    def __init__(
        self, volumes: Sequence[TrainingVolume], hyperparameters: Hyperparameters, seed: int
    ) -> None:
        self._volumes = [VolumeTiles(volume, hyperparameters) for volume in volumes]
        self._voxels = np.cumsum([volume.training_voxels for volume in volumes])
        self._batch_size = hyperparameters.batch_size
        self._seed = seed
        # Tiles are made side by side; OpenCV's own threads would take the cores from the network.
        cv2.setNumThreads(1)

    def tile(self, number: int) -> Batch:
        """Makes one tile: image (y, x, section) and mask (y, x), or (z, y, x, 1) and (z, y, x)."""
        random = np.random.default_rng((self._seed, number))
        return self._draw_volume(random).draw(random)

    def batch(self, number: int) -> Batch:
        """Makes the tiles of one step."""
        size = self._batch_size
        tiles = [self.tile(number * size + index) for index in range(size)]
        images, masks = zip(*tiles, strict=True)
        return np.stack(images), np.stack(masks)[..., np.newaxis]

    def batches(
        self,
        first: int,
        count: int,
        *,
        threads: int = 1,
        when_late: Callable[[], None] = lambda: None,
    ) -> Iterator[Batch]:
        """Yields `count` batches from number `first` on, a few of them prepared ahead.

        Args:
            first: Number of the first.
            count: How many.
            threads: That prepare them.
            when_late: Is called before a batch that is not ready yet is waited for.
        """
        threads = min(threads, _MOST_THREADS)
        ahead = 2 * threads
        with ThreadPoolExecutor(threads, thread_name_prefix="tiles") as pool:
            waiting: deque[Future[Batch]] = deque()
            try:
                for number in range(first, first + count):
                    waiting.append(pool.submit(self.batch, number))
                    if len(waiting) > ahead:
                        yield _take(waiting.popleft(), when_late)
                while waiting:
                    yield _take(waiting.popleft(), when_late)
            finally:
                for future in waiting:
                    future.cancel()

    def _draw_volume(self, random: np.random.Generator) -> VolumeTiles:
        # Nothing is drawn where there is no choice: the tiles of one volume are those of before
        # there could be several.
        if len(self._volumes) == 1:
            return self._volumes[0]
        voxel = int(random.integers(self._voxels[-1]))
        return self._volumes[int(np.searchsorted(self._voxels, voxel, side="right"))]


def _take(batch: Future[Batch], when_late: Callable[[], None]) -> Batch:
    if not batch.done():
        when_late()
    return batch.result()
