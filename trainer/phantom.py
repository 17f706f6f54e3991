"""A synthetic volume of brain tissue, for the quick start and the tests."""

from __future__ import annotations

import cv2
import numpy as np

from trainer.bodies import Body, BodyPlacer
from trainer.cells import Cells, build_cells
from trainer.smooth_noise import build_smooth_noise
from trainer.volume import Volume

_VOXEL_SIZE_NM = (8.0, 8.0, 8.0)
# Grey values. Mitochondria and dark bodies have the same mean, and dark cells nearly that.
_CELL, _DARK_CELL, _MEMBRANE = 156.0, 118.0, 60.0
_MATRIX, _CRISTA, _BODY = 138.0, 70.0, 104.0
_SHARE_OF_DARK_CELLS = 0.18
# Shares of the volume.
_MITOCHONDRIA, _BODIES = 0.11, 0.02
_VOXELS_PER_CLUSTER = 40_000


def build_phantom(sections: int, height: int, width: int, seed: int) -> Volume:
    """Build a volume that looks like an electron micrograph of brain tissue, with its mask.

    Cells with dark membranes hold textured cytoplasm, each of a brightness of its own. In them lie
    mitochondria, 17 to 30 voxels thick, with a double membrane and cristae: the foreground, 11 % of
    the volume, evenly along z. Dark cells, vesicles, and bodies of the same grey without cristae
    make a threshold useless. Made for 24 x 96 x 96 voxels and more; less has no room for tissue.

    Args:
        sections: voxels along z.
        height: voxels along y.
        width: voxels along x.
        seed: the same seed gives the same volume.
    """
    rng = np.random.default_rng(seed)
    shape = (sections, height, width)
    cells = build_cells(shape, rng)
    raw = _paint_cells(cells, rng)
    _paint_vesicles(raw, cells, rng)
    mask = np.zeros(shape, np.uint8)
    placer = BodyPlacer(cells, rng)
    bend = build_smooth_noise(shape, 8.0, rng)
    for body in placer.place(_MITOCHONDRIA, (17, 30), 2.0):
        _paint_mitochondrion(raw, body, bend[body.box], rng)
        mask[body.box] |= body.depth > 0
    grain = build_smooth_noise(shape, 2.6, rng)
    for body in placer.place(_BODIES, (11, 22), 1.4):
        _paint_dark_body(raw, body, grain[body.box], rng)
    return Volume(_expose(raw, rng), mask, _VOXEL_SIZE_NM)


def _paint_cells(cells: Cells, rng: np.random.Generator) -> np.ndarray:
    shape = cells.label.shape
    brightness = rng.normal(_CELL, 12, cells.count)
    dark = rng.random(cells.count) < _SHARE_OF_DARK_CELLS
    brightness[dark] = rng.normal(_DARK_CELL, 6, np.count_nonzero(dark))
    roughness = rng.uniform(5, 13, cells.count)
    raw: np.ndarray = brightness.astype(np.float32)[cells.label]
    raw += roughness.astype(np.float32)[cells.label] * build_smooth_noise(shape, 3.0, rng)
    # Sheets of endoplasmic reticulum: where a smooth field passes through zero, in some cells.
    sheets = (
        build_smooth_noise(shape, 17.0, rng) + 10 * (rng.random(cells.count) < 0.5)[cells.label]
    )
    _blend(raw, 0.7 * _line(sheets, 0, 0.07), 90)
    _blend(raw, _line(cells.depth, 0, 1.7), _MEMBRANE)
    return raw


def _paint_mitochondrion(
    raw: np.ndarray, body: Body, bend: np.ndarray, rng: np.random.Generator
) -> None:
    direction = rng.standard_normal(3) * (1.6, 1, 1)
    direction /= np.linalg.norm(direction) * rng.uniform(5.5, 7.0)
    phase = np.tensordot(direction.astype(np.float32), body.places, axes=1) + 0.55 * bend
    cristae = np.clip(1.6 * np.cos(2 * np.pi * phase) + 0.1, 0, 1)
    grey = _MATRIX + (_CRISTA - _MATRIX) * cristae
    _blend(grey, _line(body.depth, 2.7, 0.9), 140)
    _blend(grey, np.maximum(_line(body.depth, 4.3, 0.9), _line(body.depth, 0.9, 1.1)), _MEMBRANE)
    _blend(raw[body.box], np.clip(body.depth + 0.5, 0, 1), grey + rng.normal(0, 4))


def _paint_dark_body(
    raw: np.ndarray, body: Body, grain: np.ndarray, rng: np.random.Generator
) -> None:
    grey = _BODY + 17 * grain
    _blend(grey, _line(body.depth, 0.9, 1.1), _MEMBRANE)
    _blend(raw[body.box], np.clip(body.depth + 0.5, 0, 1), grey + rng.normal(0, 4))


def _paint_vesicles(raw: np.ndarray, cells: Cells, rng: np.random.Generator) -> None:
    """Paint clusters of small dark rings, as at a synapse."""
    shape = np.array(raw.shape)
    clusters = max(1, raw.size // _VOXELS_PER_CLUSTER)
    middles = rng.uniform(0, shape, (clusters, 1, 3))
    centres = (middles + rng.normal(0, 7, (clusters, 16, 3))).round().astype(int).reshape(-1, 3)
    centres = centres[((centres >= 0) & (centres < shape)).all(axis=1)]
    centres = centres[cells.depth[tuple(centres.T)] > 5]
    offsets = np.indices((11, 11, 11)).reshape(3, -1).T - 5
    radii = rng.uniform(1.8, 3.4, (len(centres), 1))
    rings = np.exp(-(((np.linalg.norm(offsets, axis=1) - radii) / 1.0) ** 2))
    places = np.clip(centres[:, None] + offsets, 0, shape - 1)
    share = np.zeros(raw.shape, np.float32)
    np.maximum.at(share, tuple(np.moveaxis(places, 2, 0)), rings.astype(np.float32))
    _blend(raw, 0.75 * share, _MEMBRANE)


def _expose(raw: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the tissue as a microscope shows it: brightness that drifts, blur and noise."""
    drift = 7 * build_smooth_noise(raw.shape, 80.0, rng)
    drift += rng.normal(0, 1.5, (len(raw), 1, 1)).astype(np.float32)
    blurred = np.stack([cv2.GaussianBlur(section, (0, 0), 0.7) for section in raw])
    noise = 7 * rng.standard_normal(raw.shape, dtype=np.float32)
    exposed: np.ndarray = np.clip(blurred + drift + noise, 0, 255).astype(np.uint8)
    return exposed


def _line(depth: np.ndarray, at: float, width: float) -> np.ndarray:
    line: np.ndarray = np.exp(-(((depth - at) / width) ** 2))
    return line


def _blend(raw: np.ndarray, share: np.ndarray, grey: float | np.ndarray) -> None:
    """Cover the share of each voxel with a grey value, in place."""
    raw += share * (grey - raw)
