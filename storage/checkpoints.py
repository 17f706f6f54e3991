"""Checkpoints of trials: one folder per trial, files that are written once and whole."""

import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from storage.errors import CheckpointError

_KEPT = 2
_FILE = re.compile(r"epoch-(\d+)\.npz")
_FOLDER = re.compile(r"\d{5,}")
_DELETED = ".deleted-"
# What the disk has lost, or somebody has deleted meanwhile: anything else may pass.
_LOST_FOR_GOOD = (None, errno.EIO, errno.EINVAL, errno.ENOENT)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trial at the end of an epoch: everything that it needs to go on."""

    epoch: int
    arrays: Mapping[str, np.ndarray]  # any names, numbers of any shape
    facts: Mapping[str, Any] = field(default_factory=dict)  # JSON values


class CheckpointStore:
    """The checkpoints of a study, as `folder/00012/epoch-3.npz`.

    A trial has one writer. Files are written under a temporary name and renamed, so whatever
    carries a checkpoint's name is whole unless the disk lost it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, trial: int, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint and delete all but it and the newest one before it.

        Raises:
            CheckpointError: It could not be written; no temporary file is left.
        """
        path = self._path(trial, checkpoint.epoch)
        members = _pack(checkpoint, path)
        with self._replacing(path) as temporary, temporary.open("xb") as file:
            np.savez(file, allow_pickle=False, **members)
        self._delete_older(trial, checkpoint.epoch)
        return path

    def load(self, trial: int) -> Checkpoint | None:
        """Return the newest checkpoint that is whole, or None where there is none.

        Raises:
            CheckpointError: One that may be whole cannot be read at the moment.
        """
        return next((checkpoint for _, checkpoint in self._readable(trial)), None)

    def epochs(self, trial: int) -> list[int]:
        """Return the epochs of a trial that have a file, in ascending order."""
        names = [_FILE.fullmatch(name) for name in _names_in(self._trial(trial))]
        return sorted(int(name[1]) for name in names if name)

    def inherit(self, trial: int, forerunner: int) -> int | None:
        """Give a trial the newest readable checkpoint of another one; return its epoch.

        The forerunner's folder is read only. Nothing happens where it has no checkpoint.

        Raises:
            CheckpointError: It could not be read or copied; no temporary file is left.
        """
        for source, checkpoint in self._readable(forerunner):
            path = self._path(trial, checkpoint.epoch)
            with self._replacing(path) as temporary:
                _link_or_copy(source, temporary)
            return checkpoint.epoch
        return None

    def delete(self, trial: int) -> None:
        """Delete all checkpoints of a trial; nothing happens where there are none.

        Raises:
            CheckpointError: They could not be deleted.
        """
        folder = self._trial(trial)
        aside = self._folder / f"{_DELETED}{folder.name}-{secrets.token_hex(4)}"
        # A worker that was taken for lost may still be writing into it.
        with _explained(folder, "deleted"), suppress(FileNotFoundError):
            folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)

    def tidy(self) -> None:
        """Delete what earlier deletions have left, as far as it can be deleted now."""
        for name in _names_in(self._folder):
            if name.startswith(_DELETED):
                shutil.rmtree(self._folder / name, ignore_errors=True)

    def trials(self) -> list[int]:
        """Return the trials that have a folder, in ascending order."""
        return sorted(int(name) for name in _names_in(self._folder) if _FOLDER.fullmatch(name))

    def _trial(self, trial: int) -> Path:
        return self._folder / f"{trial:05d}"

    def _path(self, trial: int, epoch: int) -> Path:
        return self._trial(trial) / f"epoch-{epoch}.npz"

    def _readable(self, trial: int) -> Iterator[tuple[Path, Checkpoint]]:
        for epoch in reversed(self.epochs(trial)):
            path = self._path(trial, epoch)
            checkpoint = _read(path)
            if checkpoint is not None and checkpoint.epoch == epoch:
                yield path, checkpoint

    @contextmanager
    def _replacing(self, path: Path) -> Iterator[Path]:
        """Yield a temporary name that becomes the path, or is deleted on an error."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with _explained(path, "written"):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.unlink(missing_ok=True)
            try:
                yield temporary
                # The content first: a power cut must not leave the name on an empty file.
                _sync(temporary)
                temporary.replace(path)
                _sync(path.parent)
            finally:
                # A rename onto another link of the same file leaves both names.
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)

    def _delete_older(self, trial: int, epoch: int) -> None:
        folder, epochs = self._trial(trial), self.epochs(trial)
        # A file of a later epoch is of a past that the trial did not go on from.
        kept = [other for other in epochs if other <= epoch][-_KEPT:]
        stale = [self._path(trial, other) for other in epochs if other not in kept]
        stale += [folder / name for name in _names_in(folder) if name.endswith(".tmp")]
        with _explained(folder, "tidied"):
            for path in stale:
                path.unlink(missing_ok=True)


def _pack(checkpoint: Checkpoint, path: Path) -> dict[str, np.ndarray]:
    """Number the arrays, since a zip file does not hold every name that an array may have."""
    names, facts = list(checkpoint.arrays), dict(checkpoint.facts)
    header = {"epoch": checkpoint.epoch, "names": names, "facts": facts}
    members = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}
    for index, (name, array) in enumerate(checkpoint.arrays.items()):
        members[f"array-{index}"] = _checked(np.asarray(array), name, path)
    return members


def _checked(array: np.ndarray, name: str, path: Path) -> np.ndarray:
    # Objects would be pickled, and types that are not numpy's own come back as plain bytes.
    if array.dtype.hasobject or array.dtype.kind == "V":
        raise CheckpointError(
            f"{path} cannot hold the array {name!r} of {array.dtype}: convert it to a type of numpy"
        )
    return array


def _read(path: Path) -> Checkpoint | None:
    try:
        # Opened here, since numpy leaves a file open that it finds damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as members:
            if members.zip.testzip() is not None:
                return None
            header = json.loads(members["header"].tobytes())
            arrays = {name: members[f"array-{index}"] for index, name in enumerate(header["names"])}
            return Checkpoint(int(header["epoch"]), arrays, header["facts"])
    except MemoryError:
        raise
    except OSError as error:
        if error.errno in _LOST_FOR_GOOD:
            return None
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    except Exception:
        # A damaged or foreign file can fail in any of numpy's, zipfile's and json's ways.
        return None


def _names_in(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be read: {error.strerror}") from None


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _explained(path: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"{path} could not be {verb} ({error.strerror}): see that there is room and that the "
            "folder can be written"
        ) from None
