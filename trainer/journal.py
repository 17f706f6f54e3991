"""What is predicted so far, kept beside the output until all of it is there."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from trainer.errors import InputError

_IDENTITY = "identity.json"
_SECTIONS = "sections.u8"


class Journal:
    """Sections of probabilities in a file that grows, and that another process goes on with.

    It lies in a hidden folder beside the output. One process at a time writes it.
    """

    def __init__(self, output: Path, shape: tuple[int, int, int], identity: Mapping[str, Any]):
        """Opens or begins it.

        Args:
            output: What will be written in the end.
            shape: Of the volume, (z, y, x).
            identity: All that the sections depend on, as JSON; of another one nothing is kept.

        Raises:
            InputError: Another process is writing, or there is no room on the disk.
        """
        self.folder = output.with_name(f".{output.name}.partial")
        self.shape, self.dtype = shape, np.dtype(np.uint8)
        self._section_bytes = shape[1] * shape[2]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = (self.folder / _SECTIONS).open("a+b")
        try:
            self._take(output)
            self._match(json.loads(json.dumps(identity)))
            self.resumed_at = self.done
            self._check_room(output)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keeps what there is for the next attempt, unless the input was at fault."""
        self._file.close()
        if error is None or isinstance(error, InputError):
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def done(self) -> int:
        """Sections that are there."""
        return self._file.seek(0, 2) // self._section_bytes

    def append(self, section: np.ndarray) -> None:
        """Adds the next section, (y, x)."""
        self._file.write(np.ascontiguousarray(section, np.uint8).data)
        self._file.flush()

    def read(self, first: int, stop: int) -> np.ndarray:
        """Sections from `first` up to but not with `stop`, (z, y, x)."""
        self._file.seek(first * self._section_bytes)
        data = bytearray((stop - first) * self._section_bytes)
        self._file.readinto(data)  # type: ignore[attr-defined]
        return np.frombuffer(data, np.uint8).reshape(stop - first, *self.shape[1:])

    def _take(self, output: Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{output}: expected to write it alone, another process is predicting it; "
                "wait for it, or name another output"
            ) from None

    def _match(self, identity: Mapping[str, Any]) -> None:
        path = self.folder / _IDENTITY
        try:
            same = json.loads(path.read_text()) == identity
        except (OSError, ValueError):
            same = False
        # A section that was half written when the process ended is written again.
        self._file.truncate(self.done * self._section_bytes if same else 0)
        path.write_text(json.dumps(identity))

    def _check_room(self, output: Path) -> None:
        needed = (self.shape[0] - self.done) * self._section_bytes
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            if self.done == 0:
                shutil.rmtree(self.folder, ignore_errors=True)
            raise InputError(
                f"{output}: needs {needed / 1e9:,.1f} GB on its disk and {free / 1e9:,.1f} GB are "
                "free; make room, or name an output on another disk"
            )
