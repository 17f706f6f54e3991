"""A model as a package of the BioImage Model Zoo (bioimage.io), format 0.5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from tifffile import imwrite

from trainer.cover import draw_cover
from trainer.errors import InputError
from trainer.model import NETWORK_FILE, ONNX_FILE, PACKAGE_ENDING, README_FILE, sha256
from trainer.neighbours import describe_offsets
from trainer.onnx_model import INPUT, OUTPUT, opset_of
from trainer.overlay import encode_png
from trainer.spatial_axes import spatial_axes
from trainer.voxel_size import trained_voxel_size

if TYPE_CHECKING:
    from trainer.model import Model
    from trainer.publication import Publication

_FORMAT_VERSION = "0.5.4"
"""Old enough for programs that are not the newest, which the newest read as well."""
_LONGEST_DESCRIPTION = 1024
_LIMITS = (
    "Made for images that look like those it was trained on, at their voxel size. A program that "
    "scales each image or tile by its own percentiles sees another range than the whole volume's."
)


def check_publication(publication: Publication) -> None:
    """Refuses what the format does not take, before anything is written.

    Raises:
        InputError: In one line, what is wrong with which key of `[export]`.
    """
    from bioimageio.spec.generic.v0_3 import GenericDescr
    from pydantic import ValidationError

    try:
        with _offline():
            GenericDescr(type="other", **_describe(publication, publication.description))
    except ValidationError as error:
        first = error.errors()[0]
        # Where one of several kinds is expected, their names follow the key.
        keys = [str(part) for part in first["loc"] if "[" not in str(part)]
        wanted = str(first["msg"]).splitlines()[0].removeprefix("Value error, ")
        if keys == ["license"]:
            wanted = "expected an identifier of the SPDX list, such as CC-BY-4.0 or MIT"
        raise InputError(
            f"export.{'.'.join(keys)}: {wanted}, got {first['input']!r}; correct it"
        ) from None


def write_package(
    path: Path,
    model: Model,
    card: Mapping[str, Any],
    publication: Publication,
    gray: np.ndarray,
    probability: np.ndarray,
) -> None:
    """Writes the zip file, with the network's files and the text that lie beside it.

    Args:
        path: Ends in `.bioimage.io.zip`; its folder holds `model.onnx`, `model.keras` and
            `README.md`.
        model: What is in them.
        card: What is known about it.
        publication: How it is presented.
        gray: What it is tested with, of the network's input shape, in gray values.
        probability: What it gives for that, of the network's output shape.
    """
    folder = path.parent
    with TemporaryDirectory(dir=folder, prefix=".package-") as name:
        extra = Path(name)
        np.save(extra / "input.npy", gray)
        np.save(extra / "output.npy", probability)
        # Programs show these to people, who cannot open numpy's files.
        imwrite(extra / "input.tif", np.squeeze(gray), photometric="minisblack")
        imwrite(extra / "output.tif", np.squeeze(probability), photometric="minisblack")
        (extra / "cover.png").write_bytes(
            encode_png(draw_cover(gray, probability, model.threshold))
        )
        files = {name: folder / name for name in (README_FILE, ONNX_FILE, NETWORK_FILE)}
        files |= {file.name: file for file in sorted(extra.iterdir())}
        _write_zip(path, _describe_model(model, card, publication, files, path), files)
    _check(path)


def _describe_model(
    model: Model,
    card: Mapping[str, Any],
    publication: Publication,
    files: Mapping[str, Path],
    path: Path,
) -> dict[str, Any]:
    """The description, as the file `rdf.yaml` holds it."""
    sources = {name: {"source": name, "sha256": sha256(file)} for name, file in files.items()}
    tags = publication.tags or ("unet", f"{len(spatial_axes(model))}d", "semantic-segmentation")
    return {
        "format_version": _FORMAT_VERSION,
        "type": "model",
        **_describe(publication, publication.description or str(card["summary"])),
        "tags": list(tags),
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        # Since format 0.5.12 with a hash of their own, which deepImageJ's reader trips over.
        "covers": ["cover.png"],
        "documentation": README_FILE,
        "inputs": [_describe_input(model, card, sources)],
        "outputs": [_describe_output(model, card, sources)],
        "weights": {"onnx": {**sources[ONNX_FILE], "opset_version": opset_of(files[ONNX_FILE])}},
        # Beside and not among the weights: those who read the package need neither Keras nor a
        # version of the format that knows it.
        "attachments": [sources[NETWORK_FILE]],
        "config": _describe_config(model, card, path.name.removesuffix(PACKAGE_ENDING)),
    }


def _write_zip(path: Path, description: Mapping[str, Any], files: Mapping[str, Path]) -> None:
    from bioimageio.spec.utils import write_yaml

    text = StringIO()
    write_yaml(description, text)
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("rdf.yaml", text.getvalue())
        for name, file in files.items():
            archive.write(file, name)


def _check(path: Path) -> None:
    """What the format's own library does not take is a fault of this program."""
    from bioimageio.spec import InvalidDescr, load_description

    # Given the path alone, the library leaves the file open.
    with _offline(), ZipFile(path) as archive:
        read = load_description(archive, format_version="latest")
    if isinstance(read, InvalidDescr):
        raise RuntimeError(f"{path.name}: {read.get_reason()}")


def _offline() -> Any:
    """Nothing is looked up: a machine without internet exports as well."""
    from bioimageio.spec import ValidationContext

    return ValidationContext(perform_io_checks=False, log_warnings=False)


def _describe(publication: Publication, description: str) -> dict[str, Any]:
    return {
        "name": publication.name,
        "description": description[:_LONGEST_DESCRIPTION],
        "authors": [_given(asdict(author)) for author in publication.authors],
        "license": publication.license,
        "cite": [_given(asdict(citation)) for citation in publication.cite],
        "tags": list(publication.tags),
    }


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _describe_input(
    model: Model, card: Mapping[str, Any], sources: Mapping[str, Any]
) -> dict[str, Any]:
    """Gray values as they come, which the program scales as `Intensity` does."""
    axes = spatial_axes(model)
    sizes = _voxel_sizes(card)
    spatial = [
        {
            "type": "space",
            "id": axis.name,
            "size": {"min": axis.smallest, "step": axis.step},
            **_scale(axis.name, sizes),
        }
        for axis in axes
    ]
    # Without the batch: each example by its own percentiles.
    scaled = [*(axis.name for axis in axes), "channel"]
    percentiles = {"axes": scaled, "min_percentile": 1.0, "max_percentile": 99.0}
    return {
        "id": INPUT,
        "description": "gray values; " + _describe_sections(model),
        "axes": [{"type": "batch"}, *spatial, _channels(_section_names(model))],
        "data": {"type": "float32"},
        "preprocessing": [
            {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
            {"id": "scale_range", "kwargs": percentiles},
        ],
        "test_tensor": sources["input.npy"],
        "sample_tensor": sources["input.tif"],
    }


def _scale(axis: str, sizes: Mapping[str, float]) -> dict[str, Any]:
    """The edge of a voxel along an axis, where it is known."""
    return {"unit": "nanometer", "scale": sizes[axis]} if axis in sizes else {}


def _describe_output(
    model: Model, card: Mapping[str, Any], sources: Mapping[str, Any]
) -> dict[str, Any]:
    sizes = _voxel_sizes(card)
    spatial = [
        {
            "type": "space",
            "id": axis.name,
            "size": {"tensor_id": INPUT, "axis_id": axis.name},
            "halo": axis.halo,
            **_scale(axis.name, sizes),
        }
        for axis in spatial_axes(model)
    ]
    return {
        "id": OUTPUT,
        "description": "probability of foreground, which is where it reaches "
        f"{model.threshold:g}; it is not cut there",
        "axes": [{"type": "batch"}, *spatial, _channels(["foreground"])],
        "data": {"type": "float32", "range": [0.0, 1.0]},
        "test_tensor": sources["output.npy"],
        "sample_tensor": sources["output.tif"],
    }


def _channels(names: Sequence[str]) -> dict[str, Any]:
    return {"type": "channel", "id": "channel", "channel_names": list(names)}


def _section_names(model: Model) -> list[str]:
    offsets = model.section_offsets
    return ["gray"] if len(offsets) == 1 else [f"section {offset:+d}" for offset in offsets]


def _describe_sections(model: Model) -> str:
    offsets = model.section_offsets
    other = ", or one channel of a stack" if len(offsets) == 1 else ""
    return f"{describe_offsets(offsets)}{other}"


def _voxel_sizes(card: Mapping[str, Any]) -> dict[str, float]:
    sizes = trained_voxel_size(card)
    return dict(zip("zyx", sizes, strict=True)) if sizes else {}


def _describe_config(model: Model, card: Mapping[str, Any], nickname: str) -> dict[str, Any]:
    """What the format has no field for; programs show some of it."""
    hp = model.hyperparameters
    training = {
        "training_epochs": card.get("epochs"),
        "training_batch_size": hp.batch_size,
        "initial_learning_rate": hp.learning_rate,
        "learning_rate_schedule": hp.schedule,
        "loss_function": hp.loss,
        "optimizer": hp.optimizer,
    }
    return {
        "bioimageio": {
            # deepImageJ lists no model without one.
            "nickname": nickname.lower(),
            "architecture_type": f"{len(spatial_axes(model))}D U-Net",
            "task": "semantic segmentation",
            "bias_risks_limitations": {"limitations": _LIMITS},
            "model_parameter_count": model.network.count_params(),
            "training": _given(training),
        },
        "unet_search": {
            "threshold": model.threshold,
            "postprocessing": dict(card["postprocessing"]),
            "networks": [each.to_mapping() for each in model.networks],
        },
    }
