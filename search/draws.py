"""Random numbers that depend on what they are for, and not on when they are asked for."""

from __future__ import annotations

from hashlib import blake2b
from statistics import NormalDist

_NORMAL = NormalDist()


def draw_uniform(*key: object) -> float:
    """A number between 0 and 1, neither of them included: the same for the same key."""
    digest = blake2b(repr(key).encode(), digest_size=8).digest()
    return ((int.from_bytes(digest) >> 12) + 0.5) / 2**52


def draw_normal(*key: object) -> float:
    """A number of the standard normal distribution, the same for the same key."""
    return _NORMAL.inv_cdf(draw_uniform(*key))
