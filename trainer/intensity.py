"""How a microscope's intensities become the network's input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.sections import Sections

_SAMPLE_VOXELS = 2_000_000
_SAMPLE_SECTIONS = 256


@dataclass(frozen=True)
class Intensity:
    """A linear map that takes the 1st percentile to 0 and the 99th to 1.

    Each volume is scaled by its own percentiles, so that a model meets the same range whatever
    the bit depth and the brightness of the session. It is `scale_range` of the bioimage.io
    specification.
    """

    low: float
    high: float

    @classmethod
    def measure(cls, raw: np.ndarray) -> Intensity:
        """Reads the percentiles from an even sample of at most two million voxels."""
        stride = -(-raw.size // _SAMPLE_VOXELS)
        # An odd stride does not fall into step with rows whose length is a power of two.
        sample = raw.reshape(-1)[:: stride | 1]
        low, high = (float(value) for value in np.percentile(sample, (1, 99)))
        if high <= low:
            # Few voxels are anything but background: the scale is that of all of them.
            low, high = float(sample.min()), float(sample.max())
        return cls(low, high if high > low else low + 1.0)

    @classmethod
    def measure_sections(cls, raw: Sections) -> Intensity:
        """Reads them from an even sample of at most 256 sections.

        Of a volume with no more sections it takes the same voxels as `measure`.

        Args:
            raw: Sections by their number, (y, x).
        """
        count = min(len(raw), _SAMPLE_SECTIONS)
        numbers = np.linspace(0, len(raw) - 1, count).round().astype(int).tolist()
        section_voxels = raw.shape[1] * raw.shape[2]
        stride = -(-count * section_voxels // _SAMPLE_VOXELS) | 1
        sample = [
            # A copy: a view would keep the whole section, and with it a large volume.
            raw[number].reshape(-1)[-index * section_voxels % stride :: stride].copy()
            for index, number in enumerate(numbers)
        ]
        return cls.measure(np.concatenate(sample))

    def scale(self, raw: np.ndarray) -> np.ndarray:
        """Maps voxels of any type to float32, mostly within 0 and 1."""
        # float32 holds 24 bits: what lies on a large offset is brought down before it is rounded.
        wide = raw.dtype.itemsize > 2 and raw.dtype != np.float32
        kind = np.float64 if wide else np.float32
        scaled: np.ndarray = np.subtract(raw, self.low, dtype=kind).astype(np.float32, copy=False)
        scaled /= np.float32(self.high - self.low)
        return scaled

    def to_gray(self, raw: np.ndarray) -> np.ndarray:
        """Maps voxels to uint8 to be looked at; what lies beyond the percentiles is cut off."""
        gray: np.ndarray = (np.clip(self.scale(raw), 0, 1) * 255).astype(np.uint8)
        return gray
