"""A training run that is advanced epoch by epoch, and can go on elsewhere."""

from __future__ import annotations

import gc
import math
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import keras
import numpy as np

from trainer.batch_statistics import BatchStatistics
from trainer.errors import InputError
from trainer.example import Example
from trainer.freed_memory import return_freed_memory
from trainer.hyperparameters import Hyperparameters
from trainer.losses import build_loss, loss_of_probability
from trainer.metrics import PooledHistogram, Scores
from trainer.optimizer import build_optimizer
from trainer.predict import predict_sections
from trainer.state import read_state, write_state, write_weights
from trainer.tiles import TileSource
from trainer.training_record import TrainingRecord
from trainer.training_step import build_training_step
from trainer.training_volume import TrainingVolume
from trainer.unet import build_unet, with_probability
from trainer.weight_average import WeightAverage
from trainer.windows import WindowedNetwork, choose_windows, count_memory, count_room

TILE_VOXELS = 256 * 256
"""The unit that an epoch's length is counted in, whatever the size of the tiles."""

MEASURED_TILES = 64
"""The last of an epoch, which batch statistics are measured over, in the same unit.

With a fourth of them a network at rest scores 0.01 apart from one choice of tiles to the next.
"""


@dataclass(frozen=True)
class TrainingPlan:
    """How long a run is.

    Attributes:
        epochs: Of the full budget; the learning-rate schedule spans all of them.
        tiles_per_epoch: In tiles of 256 x 256, so that an epoch is the same number of voxels
            for every tile size.
        seed: Of the weights and of the tiles.
    """

    epochs: int
    tiles_per_epoch: int
    seed: int = 0


@dataclass(frozen=True)
class EpochMetrics:
    """What one epoch brought.

    Attributes:
        epoch: Epochs done so far, 1 after the first.
        loss: Mean over the epoch's steps.
        train_dice: At a threshold of 0.5, over all voxels of the epoch's tiles as the network saw
            them: augmented, and with the weights that it had at each step.
        validation_loss: The run's own loss, a mean over the validation sections; of probabilities
            as they are kept, in 256 steps.
        scores: On the validation sections of all volumes together, at the threshold that suits
            them best.
        collapsed_to: The one class that was predicted, where that was without any skill.
        seconds: For training, batch statistics and validation.
        validation_seconds: For validation alone.
        training_seconds: For training alone.
        waiting_seconds: Of these, those in which the device waited for tiles.
        dice_by_volume: On each volume's own validation sections, at the same threshold.
    """

    epoch: int
    loss: float
    train_dice: float
    validation_loss: float
    scores: Scores
    collapsed_to: Literal["background", "foreground"] | None
    seconds: float
    validation_seconds: float = 0.0
    training_seconds: float = 0.0
    waiting_seconds: float = 0.0
    dice_by_volume: Mapping[str, float] = field(default_factory=dict)


class TrainingSession:
    """One network in training: advance it, keep its state, restore it.

    The state is everything that the rest of the run depends on, and tiles are numbered, so a run
    that was restored goes on as if it had never stopped.
    """

    def __init__(
        self,
        volumes: Sequence[TrainingVolume],
        hyperparameters: Hyperparameters,
        plan: TrainingPlan,
        *,
        precision: str = "float32",
        threads: int = 1,
        room_bytes: int | None = None,
    ) -> None:
        """Builds the network with random weights.

        Args:
            volumes: To learn from and to be judged by, one at least.
            hyperparameters: The U-Net run.
            plan: How long it is.
            precision: The Keras dtype policy to train in.
            threads: That prepare tiles.
            room_bytes: Memory that it may use; None for what is free.

        Raises:
            InputError: A tile does not fit into a volume.
        """
        for volume in volumes:
            _check_size(volume, hyperparameters)
        keras.utils.set_random_seed(plan.seed)
        self.hyperparameters = hyperparameters
        self.plan = plan
        self.epoch = 0
        self._volumes = volumes
        self._example = Example(volumes[0].volume, volumes[0].validation)
        self._threads = threads
        self._tiles = TileSource(volumes, hyperparameters, seed=plan.seed)
        self._network = build_unet(hyperparameters, precision=precision)
        self._average = self._build_average(precision)
        judged = self._average.network if self._average else self._network
        self._statistics = BatchStatistics(judged)
        self._predictor = with_probability(judged)
        # Found once: asking gives freed memory back, which the next epoch would have to take again.
        self._room = count_room([hyperparameters], room_bytes)
        self._memory = count_memory([hyperparameters], room_bytes)
        self._loss = build_loss(hyperparameters)
        steps = self.steps_per_epoch * plan.epochs
        self._optimizer = build_optimizer(hyperparameters, steps, precision=precision)
        self._optimizer.build(self._network.trainable_variables)
        self._step = build_training_step(self._network, self._optimizer, self._loss)

    @property
    def steps_per_epoch(self) -> int:
        """Steps that come nearest to the epoch's fixed number of voxels, at least one."""
        return max(1, round(self.plan.tiles_per_epoch * TILE_VOXELS / self._batch_voxels))

    @property
    def parameters(self) -> int:
        """Weights that training changes."""
        return sum(math.prod(weight.shape) for weight in self._network.trainable_variables)

    @property
    def validation_voxels(self) -> int:
        """Voxels that are predicted after each epoch."""
        return sum(len(v.validation) * math.prod(v.volume.raw.shape[1:]) for v in self._volumes)

    def advance(self) -> EpochMetrics:
        """Trains one epoch and scores it on the validation sections.

        Raises:
            Diverged: The loss is no longer finite, or what the network computes are no numbers.
        """
        started = time.monotonic()
        last: deque[np.ndarray] = deque(maxlen=self._measured_batches)
        loss, train_dice, waited = self._train(last)
        trained = time.monotonic()
        self._statistics.measure(last)
        # They take memory that validation may need.
        last.clear()
        measured = time.monotonic()
        histograms, validation_loss = self._validate()
        histogram = sum(histograms, PooledHistogram())
        scores = histogram.best()
        self.epoch += 1
        return EpochMetrics(
            epoch=self.epoch,
            loss=loss,
            train_dice=train_dice,
            validation_loss=validation_loss,
            scores=scores,
            collapsed_to=histogram.collapsed_to(),
            seconds=time.monotonic() - started,
            validation_seconds=time.monotonic() - measured,
            training_seconds=trained - started,
            waiting_seconds=waited,
            dice_by_volume={
                volume.name: own.scores(scores.threshold).dice
                for volume, own in zip(self._volumes, histograms, strict=True)
            },
        )

    def score(self, volume: TrainingVolume, threshold: float) -> Scores:
        """Scores the network as the last epoch has left it, on a volume's validation sections."""
        histogram = PooledHistogram()
        for section, probability in self._predict(volume):
            histogram.add(probability, volume.volume.mask[section])
        return histogram.scores(threshold)

    def state(self) -> dict[str, np.ndarray]:
        """Weights, optimizer and random state, as arrays under their names."""
        arrays = read_state(self._network, self._optimizer, self._means)
        return {**arrays, "epoch": np.asarray(self.epoch)}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Goes on from a state of the same network.

        Raises:
            InputError: The state belongs to another network.
        """
        kept = {name: array for name, array in arrays.items() if name != "epoch"}
        write_state(self._network, self._optimizer, self._means, kept)
        self.epoch = int(arrays["epoch"])

    def begin_with(self, weights: Mapping[str, np.ndarray]) -> None:
        """Takes the weights of an earlier model in place of random ones, before the first epoch.

        The optimizer begins anew.

        Args:
            weights: By the paths that they have in the network.

        Raises:
            InputError: They belong to another network, and this one stays as it is.
        """
        write_weights(self._network, weights)
        if self._average:
            self._average.begin()

    def draw_example(self, threshold: float) -> np.ndarray:
        """Draws a validation section as the last epoch has left it, RGB, uint8 (y, x, 3)."""
        return self._example.draw(self._volumes[0].intensity, threshold)

    def close(self) -> None:
        """Gives the network's memory back, as far as the framework does."""
        del self._step, self._network, self._optimizer, self._predictor, self._average
        del self._statistics
        keras.backend.clear_session()
        gc.collect()
        return_freed_memory()

    @property
    def _batch_voxels(self) -> int:
        return self.hyperparameters.batch_size * math.prod(self.hyperparameters.tile_shape)

    @property
    def _measured_batches(self) -> int:
        """Of an epoch's last ones; a short epoch has fewer."""
        return math.ceil(MEASURED_TILES * TILE_VOXELS / self._batch_voxels)

    @property
    def _means(self) -> dict[str, Any]:
        return self._average.variables if self._average else {}

    def _build_average(self, precision: str) -> WeightAverage | None:
        momentum = self.hyperparameters.ema_momentum
        if not momentum:
            return None
        copy = build_unet(self.hyperparameters, precision=precision)
        return WeightAverage(self._network, copy, momentum)

    def _train(self, last: deque[np.ndarray]) -> tuple[float, float, float]:
        """The mean loss, Dice, and the seconds in which no tiles were ready; keeps last images."""
        steps, record = self.steps_per_epoch, TrainingRecord(self.epoch + 1)
        first = self.epoch * steps
        waited, asked = 0.0, time.monotonic()

        def catch_up() -> None:
            """The device waits for tiles only when it has made all its steps."""
            nonlocal asked
            record.catch_up()
            asked = time.monotonic()

        batches = self._tiles.batches(first, steps, threads=self._threads, when_late=catch_up)
        try:
            for number, (images, masks) in enumerate(batches, first):
                waited += time.monotonic() - asked
                record.add(self._step.make(images, masks))
                last.append(images)
                if self._average:
                    self._step.settle()
                    self._average.update(number)
                asked = time.monotonic()
            return *record.finish(), waited
        finally:
            self._step.settle()

    def _validate(self) -> tuple[list[PooledHistogram], float]:
        """What was predicted for each volume, and the mean loss of all their sections."""
        histograms, losses = [], []
        for number, volume in enumerate(self._volumes):
            histograms.append(PooledHistogram())
            for section, probability in self._predict(volume):
                mask = volume.volume.mask[section]
                histograms[-1].add(probability, mask)
                losses.append(loss_of_probability(self._loss, mask, probability))
                if number == 0:
                    self._example.take(section, probability)
        return histograms, float(np.mean(losses))

    def _predict(self, volume: TrainingVolume) -> Iterator[tuple[int, np.ndarray]]:
        shape = (volume.volume.raw.shape[1], volume.volume.raw.shape[2])
        windows = choose_windows([self.hyperparameters], shape, self._room, self._memory)
        return predict_sections(
            WindowedNetwork(self._predictor, windows, self.hyperparameters.halvings, self._room),
            volume.volume.raw,
            volume.intensity,
            self.hyperparameters,
            sections=volume.validation,
        )


def _check_size(source: TrainingVolume, hyperparameters: Hyperparameters) -> None:
    height, width = source.volume.raw.shape[1:]
    if min(height, width) < hyperparameters.tile_size:
        raise InputError(
            f"tile_size: expected at most {min(height, width)}, the shorter side of the sections "
            f"({height} x {width}), got {hyperparameters.tile_size}; choose a smaller tile_size"
        )
    sections = len(source.train)
    if hyperparameters.is_3d and sections < hyperparameters.tile_sections:
        raise InputError(
            f"tile_sections: expected at most {sections}, the sections to train on, got "
            f"{hyperparameters.tile_sections}; choose fewer tile_sections"
        )
