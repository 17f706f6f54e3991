"""What a network, or several that are used as one, ask of their input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.hyperparameters import Hyperparameters


@dataclass(frozen=True)
class InputGrid:
    """The form of a network's input, under the names that a run's hyperparameters have for it.

    Attributes:
        is_3d: Whether it is (example, z, y, x, 1), and not (example, y, x, section).
        input_channels: Sections as channels, 1 in 3D.
        halvings: What rows and columns are multiples of.
        section_halvings: What sections are multiples of in 3D.
        tile_sections: Sections that it was trained on at once in 3D.
    """

    is_3d: bool
    input_channels: int
    halvings: int
    section_halvings: int
    tile_sections: int

    @classmethod
    def of(cls, networks: Sequence[Hyperparameters]) -> InputGrid:
        """What suits all of them: each number is the largest one, of powers of two a multiple."""
        deepest = max(each.section_halvings for each in networks)
        return cls(
            is_3d=networks[0].is_3d,
            input_channels=max(each.input_channels for each in networks),
            halvings=max(each.halvings for each in networks),
            section_halvings=deepest,
            tile_sections=-(-max(each.tile_sections for each in networks) // deepest) * deepest,
        )
