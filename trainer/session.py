"""A training run that is advanced epoch by epoch, and can go on elsewhere."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np

from trainer.errors import Diverged, InputError
from trainer.example import Example
from trainer.hyperparameters import Hyperparameters
from trainer.intensity import Intensity
from trainer.losses import build_loss, loss_of_probability
from trainer.metrics import PooledHistogram, Scores
from trainer.optimizer import build_optimizer
from trainer.predict import predict_sections
from trainer.state import read_state, write_state
from trainer.tiles import TileSource
from trainer.training_counts import TrainingCounts, pooled_dice
from trainer.unet import build_unet, with_probability
from trainer.volume import Volume

TILE_VOXELS = 256 * 256
"""The unit that an epoch's length is counted in, whatever the size of the tiles."""


@dataclass(frozen=True)
class TrainingPlan:
    """How long a run is, and which sections it learns from and is judged by.

    Attributes:
        epochs: Of the full budget; the learning-rate schedule spans all of them.
        tiles_per_epoch: In tiles of 256 x 256, so that an epoch is the same number of voxels
            for every tile size.
        train: Sections to draw tiles from.
        validation: Sections that the run is scored on after each epoch.
        seed: Of the weights and of the tiles.
    """

    epochs: int
    tiles_per_epoch: int
    train: Sequence[int]
    validation: Sequence[int]
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
        scores: On the validation sections, at the threshold that suits them best.
        collapsed_to: The one class that was predicted, where that was without any skill.
        seconds: For training and validation.
        training_seconds: For training alone.
        waiting_seconds: Of these, those in which the device waited for tiles.
    """

    epoch: int
    loss: float
    train_dice: float
    validation_loss: float
    scores: Scores
    collapsed_to: Literal["background", "foreground"] | None
    seconds: float
    training_seconds: float = 0.0
    waiting_seconds: float = 0.0


class TrainingSession:
    """One network in training: advance it, keep its state, restore it.

    The state is everything that the rest of the run depends on, and tiles are numbered, so a run
    that was restored goes on as if it had never stopped.
    """

    def __init__(
        self,
        volume: Volume,
        hyperparameters: Hyperparameters,
        plan: TrainingPlan,
        *,
        precision: str = "float32",
        threads: int = 1,
    ) -> None:
        _check_size(volume, hyperparameters, plan.train)
        keras.utils.set_random_seed(plan.seed)
        self.hyperparameters = hyperparameters
        self.plan = plan
        self.epoch = 0
        self._volume = volume
        self._example = Example(volume, plan.validation)
        self._threads = threads
        # Of the training sections alone: a held-out section has no part even in the scale.
        self._intensity = Intensity.measure(volume.raw[plan.train[0] : plan.train[-1] + 1])
        self._tiles = TileSource(
            volume, plan.train, hyperparameters, self._intensity, seed=plan.seed
        )
        self._network = build_unet(hyperparameters, precision=precision)
        self._predictor = with_probability(self._network)
        self._loss = build_loss(hyperparameters)
        steps = self.steps_per_epoch * plan.epochs
        self._network.compile(
            optimizer=build_optimizer(hyperparameters, steps, precision=precision),
            loss=self._loss,
            metrics=[TrainingCounts()],
            # On a CPU XLA compiles for half a minute and then runs slower; on a GPU
            # `benchmarks/execution_modes.py` measures both.
            jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
        )
        self._network.optimizer.build(self._network.trainable_variables)

    @property
    def steps_per_epoch(self) -> int:
        """Steps that come nearest to the epoch's fixed number of voxels, at least one."""
        hp = self.hyperparameters
        voxels = hp.batch_size * math.prod(hp.tile_shape)
        return max(1, round(self.plan.tiles_per_epoch * TILE_VOXELS / voxels))

    @property
    def parameters(self) -> int:
        """Weights that training changes."""
        return sum(math.prod(weight.shape) for weight in self._network.trainable_variables)

    def advance(self) -> EpochMetrics:
        """Trains one epoch and scores it on the validation sections.

        Raises:
            Diverged: The loss is no longer finite, or the probabilities are no numbers.
        """
        started = time.monotonic()
        loss, train_dice, waited = self._train()
        trained = time.monotonic()
        histogram, validation_loss = self._validate()
        self.epoch += 1
        return EpochMetrics(
            epoch=self.epoch,
            loss=loss,
            train_dice=train_dice,
            validation_loss=validation_loss,
            scores=histogram.best(),
            collapsed_to=histogram.collapsed_to(),
            seconds=time.monotonic() - started,
            training_seconds=trained - started,
            waiting_seconds=waited,
        )

    def score(self, sections: Sequence[int], threshold: float) -> Scores:
        """Scores the network as the last epoch has left it, on a block of other sections."""
        histogram = PooledHistogram()
        for section, probability in self._predict(sections):
            histogram.add(probability, self._volume.mask[section])
        return histogram.scores(threshold)

    def state(self) -> dict[str, np.ndarray]:
        """Weights, optimizer and random state, as arrays under their names."""
        return {**read_state(self._network), "epoch": np.asarray(self.epoch)}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Goes on from a state of the same network.

        Raises:
            InputError: The state belongs to another network.
        """
        write_state(self._network, {n: array for n, array in arrays.items() if n != "epoch"})
        self.epoch = int(arrays["epoch"])

    def draw_example(self, threshold: float) -> np.ndarray:
        """Draws a validation section as the last epoch has left it, RGB, uint8 (y, x, 3)."""
        return self._example.draw(self._intensity, threshold)

    def close(self) -> None:
        """Gives the network's memory back, as far as the framework does."""
        del self._network, self._predictor
        keras.backend.clear_session()
        gc.collect()

    def _train(self) -> tuple[float, float, float]:
        """The mean loss, Dice, and the seconds in which no tiles were ready."""
        steps = self.steps_per_epoch
        losses, waited, asked = [], 0.0, time.monotonic()
        counts = np.zeros(3)
        for images, masks in self._tiles.batches(self.epoch * steps, steps, threads=self._threads):
            waited += time.monotonic() - asked
            step = self._network.train_on_batch(images, masks, return_dict=True)
            losses.append(float(step["loss"]))
            if not math.isfinite(losses[-1]):
                raise Diverged(f"the loss became {losses[-1]} in epoch {self.epoch + 1}")
            counts += [float(step[name]) for name in ("overlap", "predicted", "foreground")]
            asked = time.monotonic()
        return float(np.mean(losses)), pooled_dice(*counts.tolist()), waited

    def _validate(self) -> tuple[PooledHistogram, float]:
        histogram, losses = PooledHistogram(), []
        for section, probability in self._predict(self.plan.validation):
            mask = self._volume.mask[section]
            histogram.add(probability, mask)
            losses.append(loss_of_probability(self._loss, mask, probability))
            self._example.take(section, probability)
        return histogram, float(np.mean(losses))

    def _predict(self, sections: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        return predict_sections(
            self._predictor,
            self._volume.raw,
            self._intensity,
            self.hyperparameters,
            sections=sections,
        )


def _check_size(volume: Volume, hyperparameters: Hyperparameters, train: Sequence[int]) -> None:
    height, width = volume.raw.shape[1:]
    if min(height, width) < hyperparameters.tile_size:
        raise InputError(
            f"tile_size: expected at most {min(height, width)}, the shorter side of the sections "
            f"({height} x {width}), got {hyperparameters.tile_size}; choose a smaller tile_size"
        )
    if hyperparameters.is_3d and len(train) < hyperparameters.tile_sections:
        raise InputError(
            f"tile_sections: expected at most {len(train)}, the sections to train on, got "
            f"{hyperparameters.tile_sections}; choose fewer tile_sections"
        )
