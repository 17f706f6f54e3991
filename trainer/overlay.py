"""Pictures of where a segmentation went wrong."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from trainer.intensity import Intensity
from trainer.volume import Volume

_MISSED = (60, 110, 255)
_FALSE = (255, 60, 60)
_TRUTH = (255, 255, 255)
_PREDICTION = (255, 210, 0)


def overlay_legend() -> list[tuple[str, str]]:
    """What the colours of an overlay mean, each with its CSS colour."""
    return [
        ("missed", f"rgb{_MISSED}"),
        ("false", f"rgb{_FALSE}"),
        ("outline of the truth", f"rgb{_TRUTH}"),
        ("outline of the prediction where it differs", f"rgb{_PREDICTION}"),
    ]


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


def draw_overlays(
    volume: Volume, prediction: np.ndarray, sections: Iterable[int], first: int = 0
) -> dict[int, np.ndarray]:
    """Draws overlays of some sections, scaled to the volume's range of intensities.

    Args:
        volume: With raw and mask.
        prediction: 0 or 1, (z, y, x).
        sections: Their numbers.
        first: The number of the volume's first section.

    Returns:
        RGB pictures, uint8 (y, x, 3), by section.
    """
    intensity, drawn = Intensity.measure(volume.raw), {}
    for section in sections:
        index = section - first
        gray = intensity.to_gray(volume.raw[index])
        drawn[section] = draw_overlay(gray, volume.mask[index], prediction[index])
    return drawn


def encode_png(picture: np.ndarray) -> bytes:
    """Packs an RGB picture, uint8 (y, x, 3)."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return encoded.tobytes()


def encode_jpeg(picture: np.ndarray) -> bytes:
    """Packs an RGB picture for a page, its fine coloured lines unblurred, uint8 (y, x, 3)."""
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        88,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    return encoded.tobytes()


def to_jpeg(png: bytes) -> bytes:
    """Packs a PNG anew for a page: a fifth of the bytes.

    Raises:
        ValueError: It is none.
    """
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("expected a PNG")
    return encode_jpeg(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
