"""How much two sections resemble each other, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np

# Pixels per side that a section is thinned to: enough for a correlation, quick enough for all.
_PIXELS_PER_SIDE = 256
# Sections whose autocorrelation is averaged.
_SECTIONS_FOR_TEXTURE = 24
_TWO_SIDED_95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, eq=False)
class Correlation:
    """Pearson's correlation of sections against their distance, with 95 % confidence intervals.

    Attributes:
        distances: Sections apart.
        values: The mean over all pairs at each distance.
        low: Lower end of the interval of each.
        high: Upper end.
        pairs: Number of pairs at each distance.
        independent: The number of independent pixels that those pairs are worth.
    """

    distances: np.ndarray
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    pairs: np.ndarray
    independent: np.ndarray


@dataclass(frozen=True, eq=False)
class Profiles:
    """Sections thinned to a grid of pixels, each of mean 0 and length 1; blank ones are zero.

    Attributes:
        pixels: float32, (z, y, x).
        varied: Which sections are not blank.
    """

    pixels: np.ndarray
    varied: np.ndarray

    @property
    def flat(self) -> np.ndarray:
        """The same as (z, pixel)."""
        return self.pixels.reshape(len(self.pixels), -1)

    @cached_property
    def autocorrelation(self) -> np.ndarray:
        """In the plane, averaged over sections, for all lags in the order of an FFT: (2 y, 2 x)."""
        return _autocorrelation(self)

    @cached_property
    def decay(self) -> np.ndarray:
        """Mean correlation against distance along z, zero from where it first vanishes."""
        return _decay_along_z(self)


def thinning(shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The rows and columns of a section (y, x) that are looked at, at most 511 of each."""
    rows, columns = (
        slice(step // 2, None, step)
        for step in (max(1, side // _PIXELS_PER_SIDE) for side in shape)
    )
    return rows, columns


def build_profiles(thinned: np.ndarray) -> Profiles:
    """Standardises sections that were thinned, (z, y, x)."""
    pixels = thinned.astype(np.float32)
    sizes = np.linalg.norm(pixels, axis=(1, 2), keepdims=True)
    pixels -= pixels.mean(axis=(1, 2), keepdims=True)
    lengths = np.linalg.norm(pixels, axis=(1, 2), keepdims=True)
    # Rounding leaves a trace of a value that is not a binary fraction.
    varied = lengths > 1e-5 * sizes
    return Profiles(pixels / np.where(varied, lengths, 1) * varied, varied[:, 0, 0])


def thinned_profiles(raw: np.ndarray) -> Profiles:
    """Thins and standardises all sections of a volume (z, y, x)."""
    rows, columns = thinning(raw.shape[1:])
    return build_profiles(raw[:, rows, columns])


def correlate_neighbours(profiles: Profiles, distance: int) -> np.ndarray:
    """The correlation of each section with the one `distance` above; NaN where one is blank."""
    pixels, varied = profiles.flat, profiles.varied
    products = np.einsum("zp,zp->z", pixels[:-distance], pixels[distance:], dtype=np.float64)
    return np.where(varied[:-distance] & varied[distance:], products, np.nan)


def correlate_pairs(
    first: Profiles, second: Profiles, numbers: np.ndarray, largest: int, *, smallest: int = 0
) -> Correlation:
    """Correlates sections of a volume with (changed) sections above them.

    The interval is Fisher's: atanh(r) has a standard error of 1 / sqrt(N - 3). N is not the number
    of pixels, since a pixel says little that its neighbour has not said. It is the number of
    independent ones: for two fields with autocorrelations rho_1 and rho_2 over the lags h, n pixels
    are worth n / sum(rho_1(h) rho_2(h)) (Clifford, Richardson and Hemon 1989, "Assessing the
    significance of the correlation between two spatial processes", Biometrics 45), in the plane
    and, since neighbouring pairs are almost the same pair, along z. In the plane the sum runs to
    the lag at which the autocorrelation has died away.

    Args:
        first: All sections.
        second: Sections to compare them with, of the same grid.
        numbers: The number in the volume of each of the second ones.
        largest: Greatest distance.
        smallest: Least distance.
    """
    products = first.flat @ second.flat.T  # (z, second)
    in_plane = independent_pixels(first, second)
    rows = []
    for distance in range(smallest, largest + 1):
        chosen = np.flatnonzero(numbers >= distance)
        chosen = chosen[first.varied[numbers[chosen] - distance] & second.varied[chosen]]
        if not len(chosen):
            continue
        value = float(products[numbers[chosen] - distance, chosen].mean())
        independent = in_plane * _independent_pairs(numbers[chosen], first.decay)
        rows.append(
            (distance, value, *fisher_interval(value, independent), len(chosen), independent)
        )
    columns = np.array(rows, dtype=np.float64).reshape(-1, 6).T
    distances, values, low, high, pairs, worth = columns
    return Correlation(distances.astype(int), values, low, high, pairs.astype(int), worth)


def correlate_with_first(profiles: Profiles) -> Correlation:
    """Correlates the first section with every one above it: one pair a distance."""
    distances = np.flatnonzero(profiles.varied[1:] & profiles.varied[0]) + 1
    values = profiles.flat[distances] @ profiles.flat[0]
    independent = independent_pixels(profiles, profiles)
    ends = np.array([fisher_interval(float(value), independent) for value in values])
    low, high = ends.reshape(-1, 2).T
    ones = np.ones(len(distances), int)
    return Correlation(distances, values, low, high, ones, ones * independent)


def fisher_interval(value: float, independent: float) -> tuple[float, float]:
    """The 95 % confidence interval of a correlation of so many independent pixels."""
    error = _TWO_SIDED_95 / np.sqrt(max(independent - 3.0, 1.0))
    centre = np.arctanh(np.clip(value, -1 + 1e-9, 1 - 1e-9))
    return float(np.tanh(centre - error)), float(np.tanh(centre + error))


def independent_pixels(first: Profiles, second: Profiles) -> float:
    """The number of independent pixels that a pair of sections is worth, at least 4."""
    one, other = first.autocorrelation, second.autocorrelation
    sides = first.pixels.shape[1:]
    overlap, radius = _lags(sides)
    near = radius <= min(_reach(one, radius, sides), _reach(other, radius, sides))
    total = float((overlap * one * other)[near].sum())
    return float(max(4.0, np.prod(sides) / max(total, 1.0)))


def _autocorrelation(profiles: Profiles) -> np.ndarray:
    chosen = np.flatnonzero(profiles.varied)
    chosen = chosen[:: -(-max(1, len(chosen)) // _SECTIONS_FOR_TEXTURE)]
    shape = profiles.pixels.shape[1:]
    padded = [2 * side for side in shape]  # without wrapping around
    power = np.zeros((padded[0], padded[1] // 2 + 1))
    for number in chosen:
        power += np.abs(np.fft.rfft2(profiles.pixels[number], s=padded)) ** 2
    overlap, _ = _lags(shape)
    summed = np.fft.irfft2(power / max(1, len(chosen)), s=padded)
    autocorrelation: np.ndarray = summed / np.maximum(overlap, 1e-9) * (overlap > 0)
    return autocorrelation


def _lags(sides: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The share of pixels that have a partner at each lag, and the lag's length: (2 y, 2 x)."""
    rows, columns = (np.abs(np.fft.fftfreq(2 * side, 1 / (2 * side))) for side in sides)
    overlap = np.outer(1 - rows / sides[0], 1 - columns / sides[1])
    return overlap, np.hypot(rows[:, np.newaxis], columns[np.newaxis])


def _reach(autocorrelation: np.ndarray, radius: np.ndarray, sides: tuple[int, ...]) -> int:
    """The lag at which the mean over all directions first falls to nothing, or a quarter side.

    Beyond it there is only the noise of the estimate, which squared would add up.
    """
    furthest = max(1, min(sides) // 4)
    rings = np.rint(radius).astype(np.int64).reshape(-1)
    counts = np.bincount(rings)[: furthest + 1]
    means = np.bincount(rings, autocorrelation.reshape(-1))[: furthest + 1] / np.maximum(counts, 1)
    gone = np.flatnonzero(means <= 0.0)
    return int(gone[0]) - 1 if len(gone) else furthest


def _decay_along_z(profiles: Profiles) -> np.ndarray:
    products = profiles.flat @ profiles.flat.T
    decay = np.zeros(len(products))
    for distance in range(len(products)):
        value = float(np.diagonal(products, distance).mean())
        if value <= 0:
            break
        decay[distance] = value
    return decay


def _independent_pairs(numbers: np.ndarray, decay: np.ndarray) -> float:
    apart = np.abs(numbers[:, np.newaxis] - numbers[np.newaxis])
    return float(len(numbers) ** 2 / max(float((decay[apart] ** 2).sum()), 1e-9))
