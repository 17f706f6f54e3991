"""A folder of the user's that gets a command's results."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from trainer.errors import InputError
from trainer.model import CARD_FILE

_FILES = "files"
"""Where the record of a command names what was written."""


class OutputFolder:
    """Replaces what the same command has written before, and nothing else.

    The command's record, a JSON file, names the files that came with it. A file that has the name
    of a result and that no record names is the user's.
    """

    def __init__(self, path: Path, record: str, names: Sequence[str]) -> None:
        """Says what will be written.

        Args:
            path: The folder, which need not exist.
            record: The name of the JSON file that every run of the command writes.
            names: Of the other files, as patterns.
        """
        self._path, self._record, self._names = path, record, (record, *names)

    def prepare(self) -> None:
        """Makes the folder before hours of work go into what is to be written there.

        Raises:
            InputError: It cannot be made or written, holds a model, or holds a file of the user's
                that would be overwritten.
        """
        self.check()
        try:
            self._path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._refusal(error.strerror) from None
        if not os.access(self._path, os.W_OK | os.X_OK):
            raise self._refusal("no permission")

    def check(self) -> None:
        """Looks at what is there, and makes nothing.

        Raises:
            InputError: The folder holds a model, or a file of the user's that would be overwritten.
        """
        if (self._path / CARD_FILE).exists():
            raise InputError(f"--out: expected no model folder, got {self._path}; choose another")
        try:
            present = {path.name for path in self._path.iterdir()} if self._path.exists() else set()
        except OSError as error:
            raise self._refusal(error.strerror) from None
        foreign = sorted(filter(self._is_ours, present - self._earlier()))
        if foreign:
            raise InputError(
                f"--out: expected a folder without a {foreign[0]} of somebody else's, "
                f"{self._path} holds one; choose another"
            )

    def write(self, facts: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, Any]:
        """Writes all files under temporary names, renames them, and clears those of an earlier run.

        Args:
            facts: What the record holds.
            files: The contents of the others by name.

        Returns:
            The record: the facts, and the names of all the other files.

        Raises:
            InputError: One cannot be written; then none is.
        """
        record = {**facts, _FILES: sorted(files)}
        content = json.dumps(record, indent=2, default=str) + "\n"
        stale = self._earlier() - {*files, self._record}
        try:
            self._replace({**files, self._record: content.encode()})
            for name in filter(self._is_ours, stale):
                (self._path / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._refusal(error.strerror) from None
        return record

    def _replace(self, files: Mapping[str, bytes]) -> None:
        partial = {name: self._path / f".{name}.{os.getpid()}.partial" for name in files}
        try:
            for name, content in files.items():
                partial[name].write_bytes(content)
            for name, path in partial.items():
                path.replace(self._path / name)
        finally:
            for path in partial.values():
                path.unlink(missing_ok=True)

    def _earlier(self) -> set[str]:
        """The names that an earlier run of the command has written, its record's among them."""
        try:
            record = json.loads((self._path / self._record).read_bytes())
        except (OSError, ValueError, RecursionError):
            return set()
        names = record.get(_FILES) if isinstance(record, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return set()
        present = {path.name for path in self._path.iterdir()}
        return {self._record, *names} & present

    def _is_ours(self, name: str) -> bool:
        return any(fnmatch(name, pattern) for pattern in self._names)

    def _refusal(self, cause: str | None) -> InputError:
        return unwritable(self._path, cause)


def unwritable(out: Path, cause: str | None) -> InputError:
    """The error to raise for an `--out` that the system does not let a command write."""
    return InputError(
        f"--out: expected a folder that can be written, got {out}: {cause}; choose another"
    )
