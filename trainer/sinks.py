"""Predictions written section by section, as a TIFF or as an OME-Zarr."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainer.errors import InputError
from trainer.ome_zarr import LABELS, is_ours, list_other_labels, write_image, write_labels
from trainer.sections import Stream
from trainer.tiff_writer import write_tiff
from trainer.voxel_size import VoxelSize

_TIFF_ENDINGS = (".tif", ".tiff")


class Sink:
    """Where a prediction goes; what is there before stays until all of it is written."""

    def __init__(self, output: Path, source: Path, *, labels: bool = False) -> None:
        """Looks at the name and at what has it.

        Args:
            output: Its ending picks the format: .tif, .tiff, .ome.tif or .zarr.
            source: What is predicted, which is never written over.
            labels: Whether labels are written as well.

        Raises:
            InputError: The name is of no format, or taken by something else.
        """
        # What a link leads to is written, where there is room, and not the link replaced.
        output = self.output = _led_to(output)
        self._is_zarr = output.suffix.lower() == ".zarr"
        if not self._is_zarr and output.suffix.lower() not in _TIFF_ENDINGS:
            raise InputError(
                f"{output}: expected a name that ends in .tif, .ome.tif or .zarr; give it another"
            )
        target, read = _resolved(output), _resolved(source)
        if target == read or read in target.parents:
            raise InputError(f"{output}: is the volume to predict itself; choose another name")
        if labels and _resolved(self.labels) == read:
            raise InputError(
                f"{output}: its labels would be written over the volume to predict, "
                f"{self.labels}; choose another name"
            )
        if not target.parent.is_dir():
            raise InputError(f"{output}: there is no folder {output.parent}; make it first")
        try:
            for path in (output, self.labels):
                self._check_free(path)
        except OSError as error:
            raise self._refusal(error) from None

    @property
    def labels(self) -> Path:
        """Where labels are: in the OME-Zarr, or in a TIFF beside the other."""
        if self._is_zarr:
            return self.output / LABELS
        name = self.output.name
        endings = (f".ome{self.output.suffix}", self.output.suffix)
        ending = next(each for each in endings if name.lower().endswith(each.lower()))
        return self.output.with_name(f"{name[: -len(ending)]}.labels{name[-len(ending) :]}")

    @property
    def has_other_labels(self) -> bool:
        """Whether labels lie there that writing without labels leaves as they are."""
        return not self._is_zarr and self.labels.is_file()

    def write(
        self,
        folder: Path,
        probability: Stream,
        labels: Stream | None,
        voxel_size_nm: VoxelSize | None,
        about: Mapping[str, Any],
    ) -> None:
        """Writes everything beside the output and renames it.

        Args:
            folder: On the same disk; what is written lies here until it is whole.
            probability: uint8 with 255 for 1, or float32.
            labels: Of the same shape, where they are wanted.
            voxel_size_nm: Edges of a voxel, z, y, x, or None.
            about: Kept in the metadata of an OME-Zarr.

        Raises:
            InputError: The disk does not take it.
        """
        try:
            self._write(folder, probability, labels, voxel_size_nm, about)
        except OSError as error:
            raise self._refusal(error) from error

    def _write(
        self,
        folder: Path,
        probability: Stream,
        labels: Stream | None,
        voxel_size_nm: VoxelSize | None,
        about: Mapping[str, Any],
    ) -> None:
        if self._is_zarr:
            new = folder / "new.zarr"
            shutil.rmtree(new, ignore_errors=True)
            write_image(new, probability, voxel_size_nm, about)
            if labels is not None:
                write_labels(new, labels, voxel_size_nm)
            with _aside(self.output, folder):
                new.rename(self.output)
            return
        ready = [(self.output, probability)]
        if labels is not None:
            ready.append((self.labels, labels))
        for path, stream in ready:
            write_tiff(folder / path.name, stream, voxel_size_nm)
        for path, _ in ready:
            (folder / path.name).replace(path)

    def _refusal(self, error: OSError) -> InputError:
        cause = error.strerror or error
        return InputError(f"{self.output}: cannot be written: {cause}; name another output")

    def _check_free(self, path: Path) -> None:
        if self._is_zarr and self.output.exists() and not self.output.is_dir():
            raise InputError(
                f"{self.output}: expected a new name or an older prediction, found a file; "
                "choose another"
            )
        if self._is_zarr and (others := list_other_labels(self.output)):
            raise InputError(
                f"{self.output}: holds labels that predict has not written ({others[0]}), which "
                "would be lost; choose another name"
            )
        if path.is_dir() and not (self._is_zarr and is_ours(self.output)):
            raise InputError(
                f"{path}: expected a new name or an older prediction, found a folder that is none; "
                "choose another"
            )


@contextmanager
def _aside(path: Path, folder: Path) -> Iterator[None]:
    """Makes room for a folder of that name, and puts the old one back where it fails."""
    old = folder / "old.zarr"
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    try:
        yield
    except BaseException:
        if old.exists():
            old.rename(path)
        raise


def _led_to(path: Path) -> Path:
    try:
        return _resolved(path) if path.is_symlink() else path
    except OSError:  # that it cannot be is said when it is written
        return path


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # the latter until Python 3.12
        raise InputError(f"{path}: expected a file, got a link that leads to itself") from None
