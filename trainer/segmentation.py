"""Volumes segmented by a model: in memory for a notebook, or from file to file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trainer.errors import InputError
from trainer.fingerprint import fingerprint
from trainer.formats import open_source
from trainer.journal import Journal
from trainer.labels import Kind, LabelledVolume, LabelOptions, check_label_memory
from trainer.memory import check_memory
from trainer.model import CARD_FILE, Model, load_model
from trainer.predict import to_uint8
from trainer.prediction import (
    AS_TUNED,
    OnProgress,
    Prediction,
    PredictionOptions,
    prepare_prediction,
    smallest_object_here,
)
from trainer.sections import Sections, Stream
from trainer.sinks import Sink
from trainer.source import check_section
from trainer.volume import checked_voxel_size
from trainer.voxel_size import VoxelSize
from trainer.windows import Windows


@dataclass(frozen=True)
class SegmentationOptions:
    """What is to be written, and how.

    Attributes:
        prediction: How probabilities are made, where not as the model was tuned.
        labels: Which instances to write beside the probabilities; None for no instances.
        threshold: Foreground is where the probability reaches it; the model's by default.
        smallest_object_voxels: Of this volume; smaller instances are left out. By default as many
            as fill the space of those that were tuned.
        voxel_size_nm: Of the volume, (z, y, x), in place of what its file says.
    """

    prediction: PredictionOptions = AS_TUNED
    labels: Kind | None = None
    threshold: float | None = None
    smallest_object_voxels: int | None = None
    voxel_size_nm: Sequence[float] | None = None


PROBABILITIES = SegmentationOptions()


def predict(
    array: np.ndarray,
    model: Path | str | Model,
    *,
    voxel_size_nm: Sequence[float] | None = None,
    options: PredictionOptions = AS_TUNED,
    on_progress: OnProgress = lambda stage, done, total: None,
) -> np.ndarray:
    """Probabilities of a volume in memory, as `unet-search predict` writes them.

    Args:
        array: Grey values, (z, y, x), or (y, x) for one section; of any size and real type.
        model: A model, or the folder of one.
        voxel_size_nm: Edges of a voxel, (z, y, x). Where they are not the model's, the volume is
            resampled there and back.
        options: What is to be otherwise than the model was tuned.
        on_progress: Told how far it is.

    Returns:
        uint8 of the array's shape, 255 for 1, or float32 where the options say so. Foreground is
        where it reaches `round(255 * model.threshold)`, or of float32 `model.threshold`.

    Raises:
        InputError: The array or a setting cannot be used, in one line.
    """
    raw = _checked_array(array)
    check_memory(raw.size * options.dtype.itemsize)
    size = None if voxel_size_nm is None else checked_voxel_size(voxel_size_nm)
    loaded = model if isinstance(model, Model) else _load(Path(model), options)
    prediction = prepare_prediction(loaded, raw, size, options)
    probability = np.empty(raw.shape, prediction.dtype)
    for number, section in enumerate(prediction.sections()):
        probability[number] = section
        on_progress("predict", number + 1, len(raw))
    return probability.reshape(array.shape)


def segment_file(
    model: Path,
    source: Path,
    output: Path,
    options: SegmentationOptions = PROBABILITIES,
    *,
    on_progress: OnProgress = lambda stage, done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Writes a volume's probabilities, and its instances where they are wanted.

    It goes through the volume section by section, whatever its size. What is done is kept beside
    the output: after an interruption the same call goes on from there.

    Args:
        model: A model folder.
        source: A volume of any format that `open_source` knows.
        output: Its ending picks TIFF, OME-TIFF or OME-Zarr.
        options: What to write, and how.
        on_progress: Told how far it is.
        say: Told what the user should know before it begins.

    Returns:
        What was written, as JSON can hold it.

    Raises:
        InputError: A file or a setting cannot be used, in one line.
    """
    started = time.perf_counter()
    sink = Sink(output, source, labels=options.labels is not None)
    output = sink.output
    with open_source(source, role="volume") as volume:
        loaded = _at_threshold(_load(model, options.prediction), options.threshold)
        given = options.voxel_size_nm
        size = volume.voxel_size_nm if given is None else checked_voxel_size(given)
        prediction = prepare_prediction(loaded, volume, size, options.prediction)
        _prepare_labels(sink, prediction.shape, options.labels, say)
        for note in prediction.notes:
            say(note)
        identity = _identity(loaded, source, volume, prediction, options.prediction)
        chosen = {"windows": prediction.settings["windows"]}
        with Journal(output, prediction.shape, prediction.dtype, identity, chosen) as journal:
            # Memory that is free now may suggest others than the sections that are there have.
            prediction = replace(prediction, windows=_windows(journal.chosen["windows"]))
            pace = _predict_into(journal, prediction, on_progress, say)
            labels = _labels(journal, loaded, options, size, on_progress)
            _write(sink, journal, labels, size, _about(loaded, prediction), on_progress)
    return {
        "output": str(output),
        "labels": str(sink.labels) if labels else None,
        "objects": labels and labels.count,
        "shape": list(prediction.shape),
        "voxel_size_nm": size and list(size),
        "threshold": loaded.threshold,
        "notes": list(prediction.notes),
        "resumed_at": journal.resumed_at,
        "seconds": round(time.perf_counter() - started, 3),
        "voxels_per_second": pace,
    }


def _prepare_labels(
    sink: Sink, shape: tuple[int, int, int], kind: Kind | None, say: Callable[[str], None]
) -> None:
    """Refuses labels that will not fit, and points out older ones that stay."""
    if kind is not None:
        check_label_memory(shape, kind)
    elif sink.has_other_labels:
        say(f"{sink.labels} is of an earlier prediction and stays; --labels writes it anew")


def _predict_into(
    journal: Journal, prediction: Prediction, on_progress: OnProgress, say: Callable[[str], None]
) -> int | None:
    """Predicts what is missing, and gives the voxels of it a second."""
    total, done = prediction.shape[0], journal.resumed_at
    if done:
        say(f"goes on after section {done} of {total}")
    if done == total:
        return None
    started = time.perf_counter()
    on_progress("predict", done, total)
    try:
        for section in prediction.sections(done):
            journal.append(section)
            done += 1
            on_progress("predict", done, total)
    except (KeyboardInterrupt, InputError):
        if done:
            say(f"interrupted after section {done} of {total}: the same command goes on from there")
        raise
    voxels = (total - journal.resumed_at) * prediction.shape[1] * prediction.shape[2]
    return round(voxels / (time.perf_counter() - started))


def _labels(
    journal: Journal,
    model: Model,
    options: SegmentationOptions,
    size: VoxelSize | None,
    on_progress: OnProgress,
) -> LabelledVolume | None:
    if options.labels is None:
        return None
    total = journal.shape[0]
    on_progress("find objects", 0, total)
    given = options.smallest_object_voxels
    smallest = smallest_object_here(model, size) if given is None else given
    return LabelledVolume(
        # Small objects are left out of the whole: here the end of a large one may seem small.
        lambda first, stop: _in_steps(journal.read(first, stop)) >= model.level,
        journal.shape,
        LabelOptions(options.labels, smallest, size or (1.0, 1.0, 1.0)),
        lambda done: on_progress("find objects", done, total),
    )


def _write(
    sink: Sink,
    journal: Journal,
    labels: LabelledVolume | None,
    size: VoxelSize | None,
    about: dict[str, Any],
    on_progress: OnProgress,
) -> None:
    total = journal.shape[0] * (1 if labels is None else 2)

    def told(sections: Iterator[np.ndarray], before: int) -> Iterator[np.ndarray]:
        for done, section in enumerate(sections, start=before + 1):
            yield section
            on_progress("write", done, total)

    kept = (journal.read(number, number + 1)[0] for number in range(journal.shape[0]))
    streams = [Stream(told(kept, 0), journal.shape, journal.dtype)]
    if labels is not None:
        numbered = told(labels.sections(), journal.shape[0])
        streams.append(Stream(numbered, labels.shape, labels.dtype))
    sink.write(journal.folder, streams[0], streams[1] if labels else None, size, about)


def _in_steps(probability: np.ndarray) -> np.ndarray:
    """Objects are the same whichever type probabilities are written in."""
    return probability if probability.dtype == np.uint8 else to_uint8(probability)


def _load(folder: Path, options: PredictionOptions) -> Model:
    # What is wrong with the folder is said before TensorFlow starts.
    if not (folder / CARD_FILE).is_file():
        return load_model(folder)
    return load_model(folder, precision=_precision(options))


def _precision(options: PredictionOptions) -> str:
    """What a network computes in."""
    from trainer.device import configure_device

    precision = configure_device().precision
    return "float32" if options.float32 else precision


def _at_threshold(model: Model, given: float | None) -> Model:
    threshold = model.threshold if given is None else given
    if not 0 < threshold <= 1:
        raise InputError(f"threshold: expected more than 0 and at most 1, got {threshold}")
    return replace(model, threshold=threshold)


def _windows(described: Sequence[Any] | None) -> Windows | None:
    return None if described is None else Windows(*described)


def _identity(
    model: Model,
    source: Path,
    volume: Sections,
    prediction: Prediction,
    asked: PredictionOptions,
) -> dict[str, Any]:
    """What an earlier attempt must have had in common for its sections to be gone on from."""
    return {
        **replace(prediction, windows=asked.windows).settings,
        "network": model.card.get("sha256"),
        # Another machine may be fast in another one.
        "precision": _precision(asked),
        "source": fingerprint(source, volume),
    }


def _about(model: Model, prediction: Prediction) -> dict[str, Any]:
    return {
        "network_sha256": model.card.get("sha256"),
        "threshold": model.threshold,
        **prediction.settings,
    }


def _checked_array(array: np.ndarray) -> np.ndarray:
    raw = np.asarray(array)
    if raw.ndim == 2:
        raw = raw[np.newaxis]
    if raw.ndim != 3 or raw.size == 0:
        raise InputError(
            f"array: expected grey values (z, y, x), or (y, x) for one section, got {raw.shape}"
        )
    try:
        for number, section in enumerate(raw):
            check_section(section, number, role="volume")
    except InputError as error:
        raise InputError(f"array: {error}") from None
    return raw
