"""The electron microscopy data set of EPFL's CVLab: where it is, and how large its files are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trainer.download import RemoteFile, download
from trainer.errors import DownloadError, InputError

ADDRESS = (
    "https://documents.epfl.ch/groups/c/cv/cvlab-unit/www/data/%20ElectronMicroscopy_Hippocampus"
)
"""The folder that the laboratory's page links to; the space belongs to its name."""

_BYTES = 129_919_357
FILES = tuple(
    RemoteFile(name, _BYTES)
    for name in (
        "training.tif",
        "training_groundtruth.tif",
        "testing.tif",
        "testing_groundtruth.tif",
    )
)
"""165 sections of 768 x 1024 voxels each, uint8, 5 x 5 x 5 nm, stored without compression.

Their size is that of the listing in the data set's torrent; the laboratory publishes no hashes.
Cite Lucchi, Li and Fua, "Learning for structured prediction using approximate subgradient descent
with working sets", CVPR 2013.
"""

Progress = Callable[[str, int, int | None], None]


def download_epfl(
    folder: Path,
    *,
    address: str | None = None,
    files: Sequence[RemoteFile] = FILES,
    progress: Progress = lambda _, __, ___: None,
) -> list[dict[str, Any]]:
    """Downloads the four files, raw and mask to train on and to test on.

    Files that are there with the right size are left alone. One that fails does not keep the others
    from being downloaded.

    Args:
        folder: Gets the files.
        address: Of a folder that holds copies, in place of EPFL's.
        files: What to download.
        progress: Is told the file, bytes so far, and all of them where the server says.

    Returns:
        A row for each file: name, path, bytes, and whether it was downloaded now.

    Raises:
        InputError: The folder cannot be made, or the address is none.
        DownloadError: Some file could not be had; one line says which and why.
    """
    base = (address or ADDRESS).rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise InputError(f"--from: expected an address that begins with http, got {address!r}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--out: expected a folder that can be written, got {folder}: {error.strerror}; "
            "choose another"
        ) from error
    rows, failures = [], []
    for file in files:
        try:
            new = download(
                f"{base}/{file.name}",
                file,
                folder,
                progress=lambda done, total, name=file.name: progress(name, done, total),  # type: ignore[misc]
            )
        except DownloadError as error:
            failures.append(str(error))
            continue
        path = folder / file.name
        rows.append(
            {
                "name": file.name,
                "path": str(path),
                "bytes": path.stat().st_size,
                "downloaded": new,
            }
        )
    if failures:
        raise DownloadError(" | ".join(failures))
    return rows
