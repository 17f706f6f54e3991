"""From the sections of a volume to their probabilities, one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from trainer.errors import InputError
from trainer.intensity import Intensity
from trainer.median import median_of_sections
from trainer.model import Model
from trainer.resample import Resampled, axis_weights, resampled_shape, restore_sections
from trainer.sections import Sections
from trainer.source import Source
from trainer.views import VIEWS
from trainer.voxel_size import VoxelSize, is_alike, trained_voxel_size
from trainer.windows import (
    WindowedNetwork,
    Windows,
    choose_windows,
    count_memory,
    count_room,
    is_approximate,
)

OnProgress = Callable[[str, int, int], None]
"""Told what is being done, how many sections of it are done, and of how many."""

_LONGEST_MEDIAN = 99


@dataclass(frozen=True)
class PredictionOptions:
    """What differs from the model's own settings; None for these.

    Attributes:
        views: 8 for the mean over flips and quarter turns, 1 for the section as it is.
        z_median: Sections of the median along z, an odd number.
        windows: How a section is divided; where the model says nothing it is whole as far as
            memory allows.
        float32: Whether probabilities are float32, 0 to 1, and not uint8 with 255 for 1. A model
            that is loaded for it computes in float32 too.
    """

    views: int | None = None
    z_median: int | None = None
    windows: Windows | None = None
    float32: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of probabilities."""
        return np.dtype(np.float32 if self.float32 else np.uint8)


AS_TUNED = PredictionOptions()


@dataclass(frozen=True, eq=False)
class Prediction:
    """A prediction that is ready to begin at any section.

    Attributes:
        shape: Of the volume, (z, y, x).
        notes: Sentences for the user on what is done to it.
        windows: How a section is divided; None where it is whole.
        dtype: Of probabilities, float32 from 0 to 1 or uint8 with 255 for 1.
    """

    shape: tuple[int, int, int]
    notes: tuple[str, ...]
    windows: Windows | None
    dtype: np.dtype[Any]
    _model: Model
    _raw: Sections
    _intensity: Intensity
    _most_voxels: int

    @property
    def settings(self) -> dict[str, Any]:
        """All that its values depend on besides the network's weights, as JSON."""
        return {
            "shape": list(self.shape),
            "network_shape": list(self._raw.shape),
            "intensity": [self._intensity.low, self._intensity.high],
            "views": self._model.views,
            "z_median_sections": self._model.z_median,
            "windows": self.windows and list(astuple(self.windows)),
            "dtype": self.dtype.name,
        }

    def sections(self, first: int = 0) -> Iterator[np.ndarray]:
        """Probabilities from section `first` on, (y, x) of `dtype`.

        Raises:
            Diverged: The network gives no numbers.
        """
        count = len(self._raw)
        whole = (count, *self._raw.shape[1:]) == self.shape
        needed = first if whole else axis_weights(count, self.shape[0])[first][0][0]
        # The median's first section stands for those beyond it only where it is the volume's.
        begin = max(0, needed - self._model.z_median // 2)
        smoothed = median_of_sections(self._network_sections(begin), self._model.z_median)
        wanted = islice(smoothed, needed - begin, None)
        return wanted if whole else restore_sections(wanted, count, self.shape, first)

    def _network_sections(self, begin: int) -> Iterator[np.ndarray]:
        from trainer.predict import predict_sections

        grid = self._model.grid
        network = WindowedNetwork(
            self._model.network, self.windows, grid.halvings, self._most_voxels
        )
        predicted = predict_sections(
            network,
            self._raw,
            self._intensity,
            grid,
            sections=range(begin, len(self._raw)),
            block=range(len(self._raw)),
            views=self._model.views,
            rounded=self.dtype == np.uint8,
        )
        return (section for _, section in predicted)


def prepare_prediction(
    model: Model,
    raw: Sections,
    voxel_size_nm: VoxelSize | None,
    options: PredictionOptions = AS_TUNED,
) -> Prediction:
    """Settles how a volume is predicted, before any of it is.

    Args:
        model: Its own settings hold where the options say nothing.
        raw: The volume's sections.
        voxel_size_nm: Edges of its voxels, z, y, x, or None where nobody says.
        options: What is to be otherwise.

    Raises:
        InputError: A setting or a voxel size cannot be used.
    """
    shape = (int(raw.shape[0]), int(raw.shape[1]), int(raw.shape[2]))
    model = _with_options(model, options)
    seen, notes = _network_shape(model, shape, voxel_size_nm)
    if options.z_median is None:
        median, told = _median_here(model, shape, seen, voxel_size_nm)
        model, notes = replace(model, z_median=median), (*notes, *told)
    intensity = Intensity.measure_sections(raw)
    most_voxels = count_room(model.networks)
    windows = options.windows or model.windows
    if windows is None:
        at_all = count_memory(model.networks)
        windows = choose_windows(model.networks, seen[1:], most_voxels, at_all)
        notes = (*notes, *_note_on_windows(windows, model))
    reach = _reach(model)
    if isinstance(raw, Source) and seen == shape:
        raw.remember(reach)
    resampled = raw if seen == shape else Resampled(raw, seen, reach)
    return Prediction(
        shape, notes, windows, options.dtype, model, resampled, intensity, most_voxels
    )


def _note_on_windows(windows: Windows | None, model: Model) -> tuple[str, ...]:
    """What too little memory makes of a prediction."""
    if windows is None or not is_approximate(windows, model.networks):
        return ()
    return (
        f"memory allows windows of {windows.size} x {windows.size} voxels, in which the network "
        "sees less around a voxel than in whole sections: probabilities near the windows' borders "
        "come near to those only",
    )


def _reach(model: Model) -> int:
    """Sections from the first to the last that are seen for one of them."""
    offsets = model.section_offsets
    return offsets[-1] - offsets[0] + 1


def _with_options(model: Model, options: PredictionOptions) -> Model:
    median = model.z_median if options.z_median is None else options.z_median
    if median not in range(1, _LONGEST_MEDIAN + 1, 2):
        raise InputError(f"z_median: expected an odd number of sections, got {median}")
    views = model.views if options.views is None else options.views
    if views not in VIEWS:
        raise InputError(f"views: expected one of {', '.join(map(str, VIEWS))}, got {views}")
    return replace(model, z_median=median, views=views)


def _network_shape(
    model: Model, shape: tuple[int, int, int], here: VoxelSize | None
) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    """The shape that the network sees, and what the user has to know of it."""
    trained = trained_voxel_size(model.card)
    if trained is None:
        return shape, ()
    if here is None:
        return shape, (
            f"the volume does not say the size of its voxels: taken as the model's, "
            f"{_edges(trained)} nm; give --voxel-size-nm if it is another",
        )
    several = model.grid.is_3d or len(model.grid.section_offsets) > 1
    seen = resampled_shape(shape, here, trained, along_z=several)
    if seen == shape:
        return shape, ()
    return seen, (
        f"the model was trained on voxels of {_edges(trained)} nm, the volume's are "
        f"{_edges(here)} nm: predicted at {' x '.join(map(str, seen))} voxels and resampled back",
    )


def smallest_object_here(model: Model, here: VoxelSize | None) -> int:
    """As many of this volume's voxels as fill the space of the model's smallest object."""
    trained = trained_voxel_size(model.card)
    if here is None or trained is None:
        return model.smallest_object_voxels
    return round(model.smallest_object_voxels * math.prod(trained) / math.prod(here))


def _median_here(
    model: Model,
    shape: tuple[int, int, int],
    seen: tuple[int, int, int],
    here: VoxelSize | None,
) -> tuple[int, tuple[str, ...]]:
    """The odd number of sections that is as thick as the one that was tuned, and what to say."""
    tuned, trained = model.z_median, trained_voxel_size(model.card)
    if tuned == 1 or seen[0] != shape[0] or here is None or trained is None:
        return tuned, ()
    if is_alike(here[:1], trained[:1]):
        return tuned, ()
    thick = tuned * trained[0] / here[0]
    median = min(max(1, 2 * round((thick - 1) / 2) + 1), _LONGEST_MEDIAN)
    if median == tuned:
        return tuned, ()
    return median, (
        f"the median along z was tuned over {tuned} sections of {trained[0]:g} nm: here it is over "
        f"{median} of {here[0]:g} nm",
    )


def _edges(size: VoxelSize) -> str:
    return " x ".join(f"{edge:g}" for edge in size)
