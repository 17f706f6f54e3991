"""Where a 3D network halves the sections, and from which level on it looks across them."""

from __future__ import annotations

from trainer.voxel_size import VoxelSize

_COARSER = 2.0
_LEAST_SECTIONS = 4
"""Of a tile at the centre: fewer are mostly border (nnU-Net's smallest feature map)."""


def count_planar_levels(voxel_size_nm: VoxelSize | None) -> int:
    """First levels of a 3D network that convolve and pool in the plane alone.

    Each of them makes y and x twice as coarse; from where z is less than twice as coarse as they
    are, all three axes are treated alike (nnU-Net: Isensee et al. 2021, arXiv 1904.08128).

    Args:
        voxel_size_nm: Edges of a voxel, z, y, x; taken as equal where nobody said.
    """
    if voxel_size_nm is None:
        return 0
    z, y, x = voxel_size_nm
    ratio, levels = z / min(y, x), 0
    while ratio >= _COARSER:
        ratio, levels = ratio / 2, levels + 1
    return levels


def plan_pooling(
    levels: int, planar_levels: int, tile_sections: int
) -> tuple[tuple[int, int, int], ...]:
    """Factors (z, y, x) by which each level but the last is made coarser.

    Sections are halved below the planar levels, as often as it leaves four of a tile.

    Args:
        levels: Of the network, the centre among them.
        planar_levels: So many, from the first on, pool in the plane alone.
        tile_sections: Of a tile.
    """
    factors = []
    for level in range(levels - 1):
        halved = level >= planar_levels and tile_sections >= 2 * _LEAST_SECTIONS
        factors.append((2 if halved else 1, 2, 2))
        tile_sections //= factors[-1][0]
    return tuple(factors)
