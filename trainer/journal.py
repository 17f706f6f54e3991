"""What is predicted so far, kept beside the output until all of it is there."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from trainer.errors import InputError

_IDENTITY = "identity.json"
_SECTIONS = "sections.bin"


class Journal:
    """Sections of probabilities in a file that grows, and that another process goes on with.

    It lies in a hidden folder beside the output. One process at a time writes it.

    Attributes:
        folder: Where it lies.
        shape: Of the volume, (z, y, x).
        dtype: Of the probabilities.
        resumed_at: Sections that an earlier attempt left.
        chosen: As it was given, or as it was for the sections that are there.
    """

    def __init__(
        self,
        output: Path,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        identity: Mapping[str, Any],
        chosen: Mapping[str, Any],
    ) -> None:
        """Opens or begins it.

        Args:
            output: What will be written in the end.
            shape: Of the volume, (z, y, x).
            dtype: Of the probabilities.
            identity: All that the sections depend on, as JSON; of another one nothing is kept.
            chosen: What this machine would choose; sections that are there hold to their own.

        Raises:
            InputError: Another process is writing, there is no room on the disk, or no way to
                write there.
        """
        self.folder = output.with_name(f".{output.name}.partial")
        self.shape, self.dtype = shape, dtype
        self._output = output
        self._section_bytes = shape[1] * shape[2] * dtype.itemsize
        try:
            self._file = self._take()
        except OSError as error:
            raise self._refusal(error) from None
        try:
            self.chosen = self._match(_as_json(identity), _as_json(chosen))
            self.resumed_at = self.done
            self._check_room()
        except OSError as error:
            self._let_go()
            raise self._refusal(error) from None
        except BaseException:
            self._let_go()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Keeps what there is for the next attempt, unless all is done."""
        self._let_go(finished=kind is None)

    @property
    def done(self) -> int:
        """Sections that are there."""
        return self._file.seek(0, 2) // self._section_bytes

    def append(self, section: np.ndarray) -> None:
        """Adds the next section, (y, x).

        Raises:
            InputError: The disk does not take it.
        """
        try:
            left = np.ascontiguousarray(section, self.dtype).data.cast("B")
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise self._refusal(error) from None

    def read(self, first: int, stop: int) -> np.ndarray:
        """Sections from `first` up to but not with `stop`, (z, y, x)."""
        self._file.seek(first * self._section_bytes)
        sections = np.empty((stop - first, *self.shape[1:]), self.dtype)
        left = sections.data.cast("B")
        while left:
            left = left[self._file.readinto(left) or len(left) :]
        return sections

    def _take(self) -> FileIO:
        """The file of the sections, for this process alone."""
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Who had it may be removing the folder at this moment.
            with suppress(FileNotFoundError):
                # Without a buffer: what a full disk does not take is not tried again on closing.
                file = (self.folder / _SECTIONS).open("a+b", buffering=0)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if os.path.samestat(os.fstat(file.fileno()), (self.folder / _SECTIONS).stat()):
                        return file
                except BlockingIOError:
                    file.close()
                    raise InputError(
                        f"{self._output}: expected to write it alone, another process is "
                        "predicting it; wait for it, or name another output"
                    ) from None
                except BaseException:
                    file.close()
                    raise
                file.close()

    def _match(self, identity: Any, chosen: Any) -> dict[str, Any]:
        """Keeps the sections of the same identity, and gives what was chosen for them."""
        path = self.folder / _IDENTITY
        known: Any = None
        with suppress(OSError, ValueError):
            known = json.loads(path.read_text())
        if _is_of(known, identity) and self.done:
            # A section that was half written when the process ended is written again.
            self._file.truncate(self.done * self._section_bytes)
            return dict(known["chosen"])
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"identity": identity, "chosen": chosen}))
        # Sections of another one are gone before it takes its place.
        self._file.truncate(0)
        new.replace(path)
        return dict(chosen)

    def _check_room(self) -> None:
        needed = (self.shape[0] - self.done) * self._section_bytes
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise InputError(
                f"{self._output}: needs {needed / 1e9:,.1f} GB on its disk and "
                f"{free / 1e9:,.1f} GB are free; make room, or name an output on another disk"
            )

    def _let_go(self, *, finished: bool = False) -> None:
        """Ends it; sections that are there stay where they are not yet written to the output."""
        try:
            if finished or self.done == 0:
                with suppress(OSError):
                    self._remove()
        finally:
            # Only now another process can have it.
            self._file.close()

    def _remove(self) -> None:
        """Removes the locked file last: from then on another process may make the folder anew."""
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _SECTIONS:
                path.unlink()
        (self.folder / _SECTIONS).unlink()
        self.folder.rmdir()

    def _refusal(self, error: OSError) -> InputError:
        cause = error.strerror or error
        return InputError(f"{self._output}: cannot be written: {cause}; name another output")


def _is_of(known: Any, identity: Any) -> bool:
    return (
        isinstance(known, dict)
        and known.get("identity") == identity
        and isinstance(known.get("chosen"), dict)
    )


def _as_json(mapping: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(mapping))
