"""How far augmentations take a section from its neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from trainer.augment import Field
from trainer.elastic import draw_displacement
from trainer.intensity import Intensity
from trainer.section_correlation import (
    Correlation,
    build_profiles,
    correlate_pairs,
    thinned_profiles,
    thinning,
)

NOISES = (0.05, 0.1, 0.2, 0.4)
"""Standard deviations, where 1 is from the volume's 1st to its 99th percentile."""
DEFORMATIONS = tuple((alpha, sigma) for sigma in (10.0, 25.0) for alpha in (120.0, 240.0, 480.0))
"""Pairs of alpha and sigma, as in a search's dimensions `elastic_alpha` and `elastic_sigma`."""
# Changed sections per augmentation, evenly over the volume.
_CHANGED_SECTIONS = 32

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""Takes a section (y, x) to what an augmentation makes of it, thinned."""


@dataclass(frozen=True, eq=False)
class Curve:
    """The correlation of sections with sections above them that were changed in one way.

    Attributes:
        kind: plain, flip, noise or elastic.
        name: What was done, for a person.
        settings: Its strength, by the names of a search's dimensions.
        correlation: Against the distance.
    """

    kind: str
    name: str
    settings: dict[str, float]
    correlation: Correlation


def measure_decorrelation(raw: np.ndarray, seed: int = 0) -> list[Curve]:
    """Correlates the sections of a volume with the sections above them, plain and augmented.

    Distances reach half the volume. Plain, all pairs count; the sections above are changed each
    in a draw of its own, 32 of them at most.

    Args:
        raw: Grey values, (z, y, x).
        seed: Of noise and deformations.
    """
    whole = thinned_profiles(raw)
    largest = len(raw) // 2
    everyone = np.arange(len(raw))
    plain = correlate_pairs(whole, whole, everyone, largest, smallest=1)
    curves = [Curve("plain", "unchanged", {}, plain)]
    chosen = everyone[:: -(-len(raw) // _CHANGED_SECTIONS)]
    for kind, name, settings, change in _changes(raw):
        random = np.random.default_rng(seed)
        changed = build_profiles(np.stack([change(raw[number], random) for number in chosen]))
        correlation = correlate_pairs(whole, changed, chosen, largest)
        curves.append(Curve(kind, name, settings, correlation))
    return curves


def displacement_deviation(alpha: float, sigma: float) -> float:
    """By how many voxels an elastic deformation moves a voxel along an axis, as a deviation."""
    return alpha / (sigma * math.sqrt(12 * math.pi))


def deform(section: np.ndarray, alpha: float, sigma: float, random: np.random.Generator) -> Field:
    """Draws the field of an elastic deformation of a whole section (y, x)."""
    shape = (section.shape[0], section.shape[1])
    y, x = np.indices(shape, dtype=np.float32)
    return Field(
        y + draw_displacement(random, shape, alpha, sigma),
        x + draw_displacement(random, shape, alpha, sigma),
    )


def _changes(raw: np.ndarray) -> Iterator[tuple[str, str, dict[str, float], Change]]:
    rows, columns = thinning(raw.shape[1:])
    yield "flip", "flipped left to right", {}, lambda section, _: section[:, ::-1][rows, columns]
    yield "flip", "flipped top to bottom", {}, lambda section, _: section[::-1][rows, columns]
    intensity = Intensity.measure(raw)
    for noise in NOISES:
        yield "noise", f"noise {noise:g}", {"noise": noise}, _add_noise(noise, intensity, raw.shape)
    for alpha, sigma in DEFORMATIONS:
        moved = displacement_deviation(alpha, sigma)
        name = f"alpha {alpha:g}, sigma {sigma:g} (moves by {moved:.1f} voxels)"
        settings = {"elastic_alpha": alpha, "elastic_sigma": sigma}
        yield "elastic", name, settings, _deform_thinned(alpha, sigma, raw.shape)


def _add_noise(noise: float, intensity: Intensity, shape: tuple[int, ...]) -> Change:
    rows, columns = thinning(shape[1:])

    def change(section: np.ndarray, random: np.random.Generator) -> np.ndarray:
        scaled = intensity.scale(section[rows, columns])
        noisy: np.ndarray = scaled + noise * random.standard_normal(scaled.shape, dtype=np.float32)
        return noisy

    return change


def _deform_thinned(alpha: float, sigma: float, shape: tuple[int, ...]) -> Change:
    rows, columns = thinning(shape[1:])

    def change(section: np.ndarray, random: np.random.Generator) -> np.ndarray:
        field = deform(section, alpha, sigma, random)
        thinned = Field(
            np.ascontiguousarray(field.y[rows, columns]),
            np.ascontiguousarray(field.x[rows, columns]),
        )
        return thinned.sample(section.astype(np.float32))

    return change
