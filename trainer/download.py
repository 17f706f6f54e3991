"""A file from the web: resumed where it was cut off, checked, and whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from trainer.errors import DownloadError

_TIMEOUT = httpx.Timeout(30.0, connect=15.0)
_PART = ".part"
_ORIGIN = ".part.json"


@dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Attributes:
        name: That it gets here.
        size: In bytes, or None where nobody knows.
        sha256: Hexadecimal, or None where nobody knows.
    """

    name: str
    size: int | None = None
    sha256: str | None = None


def download(
    url: str,
    file: RemoteFile,
    folder: Path,
    *,
    progress: Callable[[int, int | None], None] = lambda _, __: None,
) -> bool:
    """Downloads a file unless it is there.

    It is written as `NAME.part` and renamed when it is complete and its size (and SHA-256, where
    known) is right. A part that was left behind, by Ctrl-C or a lost connection, is gone on with:
    by a Range request that counts only if the server's file is still the same (If-Range with its
    ETag or date, kept in `NAME.part.json`); a server that ignores it sends the file from the start.

    Args:
        url: Address of the file.
        file: Its name, and what is known of it.
        folder: Gets the file.
        progress: Is told bytes so far, and all of them where the server says how many.

    Returns:
        Whether anything was downloaded.

    Raises:
        DownloadError: The file could not be had; one line says why. The part stays, unless it is
            wrong.
    """
    target = folder / file.name
    if target.exists():
        _check_present(target, file)
        return False
    part, origin = target.with_name(target.name + _PART), target.with_name(target.name + _ORIGIN)
    try:
        with httpx.Client(timeout=_TIMEOUT, follow_redirects=True) as client:
            _fetch(client, url, part, origin, file, progress)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DownloadError(
            f"{url}: {_reason(error)}; give the command again to go on where it stopped, or "
            "another address by --from"
        ) from error
    _check_complete(url, part, origin, file)
    part.replace(target)
    origin.unlink(missing_ok=True)
    return True


def _fetch(
    client: httpx.Client,
    url: str,
    part: Path,
    origin: Path,
    file: RemoteFile,
    progress: Callable[[int, int | None], None],
) -> None:
    headers = {"Accept-Encoding": "identity", **_range_of(part, origin)}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            # The part is as long as the file, or longer: what it is shows below.
            return
        response.raise_for_status()
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        done = part.stat().st_size if resumed else 0
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            raise DownloadError(f"{url}: the server sent another part than the one asked for")
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        _check_announced(url, total, file)
        origin.write_text(json.dumps({"url": url, "validator": _validator(response)}))
        with part.open("ab" if resumed else "wb") as out:
            progress(done, total)
            for chunk in response.iter_raw():
                out.write(chunk)
                done += len(chunk)
                progress(done, total)


def _range_of(part: Path, origin: Path) -> dict[str, str]:
    """The header that asks for the rest of a part, where its file can be told from a newer one."""
    size = part.stat().st_size if part.exists() else 0
    try:
        validator = json.loads(origin.read_text())["validator"] if size else None
    except (OSError, ValueError, KeyError, TypeError):
        validator = None
    if not isinstance(validator, str):
        return {}
    return {"Range": f"bytes={size}-", "If-Range": validator}


def _validator(response: httpx.Response) -> str | None:
    """What tells the server's file from a newer one; a weak ETag does not tell its bytes."""
    etag: str = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return etag
    modified: str | None = response.headers.get("Last-Modified")
    return modified


def _check_announced(url: str, total: int | None, file: RemoteFile) -> None:
    """Ends before the download where the server's file is not the one that was published."""
    if file.size is None or total is None or total == file.size:
        return
    # A part of the right file stays: this may be a page that stands in for it.
    raise DownloadError(
        f"{url}: expected {file.size:,} bytes, the server's file has {total:,}: it is not the file "
        "that was published, or has been changed since; download it by hand and check it"
    )


def _check_complete(url: str, part: Path, origin: Path, file: RemoteFile) -> None:
    size = part.stat().st_size if part.exists() else 0
    wrong = None
    if file.size is not None and size < file.size:
        raise DownloadError(
            f"{url}: got {size:,} of {file.size:,} bytes; give the command again to go on"
        )
    if file.size is not None and size > file.size:
        wrong = f"expected {file.size:,} bytes, got {size:,}"
    elif file.sha256 is not None and _sha256(part) != file.sha256:
        wrong = "its SHA-256 is not that of the published file"
    if wrong:
        part.unlink(missing_ok=True)
        origin.unlink(missing_ok=True)
        raise DownloadError(f"{url}: {wrong}; it was removed, give the command again")


def _check_present(target: Path, file: RemoteFile) -> None:
    size = target.stat().st_size
    wrong = None
    if file.size is not None and size != file.size:
        wrong = f"expected a file of {file.size:,} bytes, found one of {size:,}"
    elif file.sha256 is not None and _sha256(target) != file.sha256:
        wrong = "expected the published file, found one with another SHA-256"
    if wrong:
        raise DownloadError(f"{target}: {wrong}; move it away, and give the command again")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        response = error.response
        return f"the server answers {response.status_code} {response.reason_phrase}"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError):
        return "no connection; is the network there?"
    if isinstance(error, httpx.TransportError):
        return "the connection was lost"
    return str(error).split("\n")[0] or type(error).__name__
