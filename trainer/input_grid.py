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
        section_offsets: Where the sections lie that are channels: 0 is the one to segment, the only
            one in 3D.
        halvings: What rows and columns are multiples of.
        section_halvings: What sections are multiples of in 3D.
        tile_sections: Sections that it was trained on at once in 3D.
    """

    is_3d: bool
    section_offsets: tuple[int, ...]
    halvings: int
    section_halvings: int
    tile_sections: int

    @classmethod
    def of(cls, networks: Sequence[Hyperparameters]) -> InputGrid:
        """What suits all: every section that one of them sees, of the rest the largest number."""
        deepest = max(each.section_halvings for each in networks)
        return cls(
            is_3d=networks[0].is_3d,
            section_offsets=tuple(sorted({z for each in networks for z in each.section_offsets})),
            halvings=max(each.halvings for each in networks),
            section_halvings=deepest,
            tile_sections=-(-max(each.tile_sections for each in networks) // deepest) * deepest,
        )
