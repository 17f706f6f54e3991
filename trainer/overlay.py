"""Pictures of where a segmentation went wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from trainer.errors import InputError
from trainer.intensity import Intensity
from trainer.volume import Volume

_MISSED = (60, 110, 255)
_FALSE = (255, 60, 60)
_TRUTH = (255, 255, 255)
_PREDICTION = (255, 210, 0)
_SECTIONS = 4


def draw_overlay(gray: np.ndarray, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Colours a section: missed voxels blue, false ones red.

    The truth is outlined in white, and the prediction in yellow where it differs.

    Args:
        gray: uint8 (y, x).
        truth: 0 or 1, (y, x).
        prediction: 0 or 1, (y, x).

    Returns:
        RGB, uint8 (y, x, 3).
    """
    picture = np.repeat(gray[..., np.newaxis], 3, axis=2).astype(np.float32)
    for wrong, colour in (
        ((truth == 1) & (prediction == 0), _MISSED),
        ((truth == 0) & (prediction == 1), _FALSE),
    ):
        picture[wrong] = 0.4 * picture[wrong] + 0.6 * np.asarray(colour, np.float32)
    drawn = picture.astype(np.uint8)
    for shape, colour in ((prediction, _PREDICTION), (truth, _TRUTH)):
        outlines, _ = cv2.findContours(shape.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, outlines, -1, colour, 1)
    return drawn


def write_overlays(
    folder: Path, volume: Volume, prediction: np.ndarray, scores: Mapping[str, Any]
) -> None:
    """Writes the scores, and overlays of the sections with the most voxels wrong.

    Raises:
        InputError: The folder cannot be written.
    """
    wrong = np.count_nonzero(prediction != volume.mask, axis=(1, 2))
    intensity = Intensity.measure(volume.raw)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for section in np.argsort(-wrong, kind="stable")[:_SECTIONS]:
            scaled = np.clip(intensity.scale(volume.raw[section]), 0, 1) * 255
            picture = draw_overlay(
                scaled.astype(np.uint8), volume.mask[section], prediction[section]
            )
            _write(folder / f"section-{section:04d}.png", encode_png(picture))
        _write(folder / "evaluation.json", (json.dumps(dict(scores), indent=2) + "\n").encode())
    except OSError as error:
        raise InputError(
            f"--out: expected a folder that can be written, got {folder}: {error.strerror}; "
            "choose another"
        ) from None


def encode_png(picture: np.ndarray) -> bytes:
    """Packs an RGB picture, uint8 (y, x, 3)."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return encoded.tobytes()


def _write(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
