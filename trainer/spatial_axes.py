"""How large the images may be that a network takes, axis by axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.model import Model

_WIDEST_HALO = 64


@dataclass(frozen=True)
class SpatialAxis:
    """One axis along which a network's input may have many sizes.

    Attributes:
        name: `z`, `y` or `x`.
        step: Sizes are multiples of it.
    """

    name: str
    step: int

    @property
    def halo(self) -> int:
        """Voxels at a border that had too little around them to be judged well.

        Programs that predict a large image in tiles let them overlap by it. The padded image has
        again a size that fits.
        """
        return max(self.step // 2, min(2 * self.step, _WIDEST_HALO))

    @property
    def smallest(self) -> int:
        """The smallest size that is more than halo."""
        return self.fitting(2 * self.halo + 1)

    def fitting(self, size: int) -> int:
        """The next size that fits."""
        return -(-size // self.step) * self.step


def spatial_axes(model: Model) -> tuple[SpatialAxis, ...]:
    """The axes of a model's input between example and channel: z where it is 3D, y and x."""
    grid = model.grid
    plane = (SpatialAxis("y", grid.halvings), SpatialAxis("x", grid.halvings))
    return (SpatialAxis("z", grid.section_halvings), *plane) if grid.is_3d else plane
