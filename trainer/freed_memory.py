"""Memory that this process has freed: kept for its next arrays, or given back to the system.

A network's feature maps are tens of megabytes each and are freed a few operations later. glibc
gives blocks of that size back to the system at once, which then clears every page of the next one:
a third of the time of a prediction on two cores. Kept, they are used again as they are.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

# Of <malloc.h>. One arena: where threads have their own, what one of them frees no other uses.
_NEVER_TRIM = (-1, -1)  # M_TRIM_THRESHOLD
_NEVER_MAP = (-4, 0)  # M_MMAP_MAX
_ONE_ARENA = (-8, 1)  # M_ARENA_MAX


def keep_freed_memory() -> bool:
    """Keeps what is freed from now on, in this process.

    Returns:
        Whether the C library can: glibc does, others go on as before.
    """
    library = _glibc()
    if library is None:
        return False
    done = [library.mallopt(*option) for option in (_ONE_ARENA, _NEVER_MAP, _NEVER_TRIM)]
    return all(done)


def return_freed_memory() -> None:
    """Gives what was kept back to the system, for whoever else needs it."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@cache
def _glibc() -> Any | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
