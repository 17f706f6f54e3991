"""Whether an array that a file's header claims can be held at all."""

from __future__ import annotations

import psutil

from trainer.errors import InputError

_GB = 1e9


def check_memory(nbytes: int) -> None:
    """Refuse an array of so many bytes where the machine has not that much memory free."""
    free = int(psutil.virtual_memory().available)
    if nbytes > free:
        raise InputError(
            f"needs {nbytes / _GB:,.1f} GB of memory and {free / _GB:,.1f} GB are free; "
            "cut out a smaller volume, or use a machine with more memory"
        )


def check_ratio(nbytes: int, file_bytes: int, most: float) -> None:
    """Refuse a header that claims more than a file of that length can hold.

    Args:
        nbytes: bytes of the array that the header claims.
        file_bytes: length of the file.
        most: how many times its own length the file's compression can hold at best.
    """
    if nbytes > most * file_bytes:
        raise InputError(
            f"its header claims {nbytes:,} bytes of image and the whole file has {file_bytes:,}; "
            "it is truncated or damaged: copy or export it again"
        )
