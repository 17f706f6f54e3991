from __future__ import annotations

import hashlib
import importlib.util
import socket
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from trainer import download as module
from trainer.download import RemoteFile, download
from trainer.epfl import ADDRESS, FILES, download_epfl
from trainer.errors import DownloadError, InputError

CONTENT = bytes(range(256)) * 2000
FILE = RemoteFile("a.tif", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "web_folder", Path(__file__).with_name("web_folder.py")
    )
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["web_folder"] = loaded
    spec.loader.exec_module(loaded)
    return loaded


web_folder = _load()


@pytest.fixture
def web() -> Iterator[web_folder.WebFolder]:
    with web_folder.serve(web_folder.WebFolder({"a.tif": CONTENT}, {"a.tif": '"one"'})) as served:
        yield served


def get(web: web_folder.WebFolder, folder: Path, file: RemoteFile = FILE) -> bool:
    return download(f"{web.address}/{file.name}", file, folder)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_downloaded_whole(web: web_folder.WebFolder, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    assert download(f"{web.address}/a.tif", FILE, tmp_path, progress=lambda *now: told.append(now))
    assert (tmp_path / "a.tif").read_bytes() == CONTENT
    assert names(tmp_path) == ["a.tif"]
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_a_file_that_is_there_is_left_alone(web: web_folder.WebFolder, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(CONTENT)
    assert not get(web, tmp_path)
    assert web.asked == []


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[:-1] + b"x"])
def test_a_file_that_is_there_and_wrong_is_neither_used_nor_replaced(
    web: web_folder.WebFolder, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(DownloadError, match="move it away"):
        get(web, tmp_path)
    assert (tmp_path / "a.tif").read_bytes() == content


def test_a_lost_connection_keeps_the_part_and_the_next_call_goes_on_with_it(
    web: web_folder.WebFolder, tmp_path: Path
) -> None:
    web.cut_after, web.cuts = 300_000, 1
    with pytest.raises(DownloadError, match="connection was lost; give the command again"):
        get(web, tmp_path)
    assert (tmp_path / "a.tif.part").read_bytes() == CONTENT[:300_000]
    assert not (tmp_path / "a.tif").exists()
    assert get(web, tmp_path)
    assert web.asked == [("a.tif", None), ("a.tif", "bytes=300000-")]
    assert (tmp_path / "a.tif").read_bytes() == CONTENT
    assert names(tmp_path) == ["a.tif"]


def test_an_interruption_keeps_the_part(web: web_folder.WebFolder, tmp_path: Path) -> None:
    def interrupt(done: int, _: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(f"{web.address}/a.tif", FILE, tmp_path, progress=interrupt)
    kept = (tmp_path / "a.tif.part").stat().st_size
    assert 0 < kept < len(CONTENT)
    assert get(web, tmp_path)
    assert web.asked[-1] == ("a.tif", f"bytes={kept}-")
    assert (tmp_path / "a.tif").read_bytes() == CONTENT


def test_a_part_of_a_file_that_has_changed_since_is_begun_anew(
    web: web_folder.WebFolder, tmp_path: Path
) -> None:
    web.cut_after, web.cuts = 300_000, 1
    web.files["a.tif"] = CONTENT[::-1]
    with pytest.raises(DownloadError):
        get(web, tmp_path)
    web.files["a.tif"], web.etags["a.tif"] = CONTENT, '"two"'
    assert get(web, tmp_path)
    assert (tmp_path / "a.tif").read_bytes() == CONTENT


@pytest.mark.parametrize("why", ["no ranges", "no validator", "weak validator", "part of unknown"])
def test_what_cannot_be_resumed_is_begun_anew(
    web: web_folder.WebFolder, tmp_path: Path, why: str
) -> None:
    web.cut_after, web.cuts = 300_000, 1
    web.ranges = why != "no ranges"
    if why == "no validator":
        web.etags.clear()
    if why == "weak validator":
        web.etags["a.tif"] = 'W/"one"'
    with pytest.raises(DownloadError):
        get(web, tmp_path)
    if why == "part of unknown":
        (tmp_path / "a.tif.part.json").unlink()
    assert get(web, tmp_path)
    assert (tmp_path / "a.tif").read_bytes() == CONTENT
    assert (web.asked[-1][1] is None) == (why != "no ranges")


def test_a_complete_part_becomes_the_file(web: web_folder.WebFolder, tmp_path: Path) -> None:
    (tmp_path / "a.tif.part").write_bytes(CONTENT)
    (tmp_path / "a.tif.part.json").write_text('{"validator": "\\"one\\""}')
    assert get(web, tmp_path)
    assert names(tmp_path) == ["a.tif"]


def test_another_size_is_seen_before_anything_is_downloaded(
    web: web_folder.WebFolder, tmp_path: Path
) -> None:
    web.files["a.tif"] = CONTENT + b"more"
    with pytest.raises(
        DownloadError, match=r"expected 512,000 bytes, the server's file has 512,004"
    ):
        get(web, tmp_path)
    assert names(tmp_path) == []


def test_a_page_in_place_of_the_file_leaves_the_part(
    web: web_folder.WebFolder, tmp_path: Path
) -> None:
    web.cut_after, web.cuts = 300_000, 1
    with pytest.raises(DownloadError):
        get(web, tmp_path)
    web.files["a.tif"], web.etags["a.tif"] = b"<p>Back soon", '"page"'
    with pytest.raises(DownloadError, match="the server's file has 12"):
        get(web, tmp_path)
    web.files["a.tif"], web.etags["a.tif"] = CONTENT, '"one"'
    assert get(web, tmp_path)
    assert web.asked[-1] == ("a.tif", "bytes=300000-")


def test_a_size_that_nobody_announced_is_checked_in_the_end(
    web: web_folder.WebFolder, tmp_path: Path
) -> None:
    web.announce = False
    web.files["a.tif"] = CONTENT + b"more"
    with pytest.raises(DownloadError, match=r"expected 512,000 bytes, got 512,004; it was removed"):
        get(web, tmp_path)
    assert names(tmp_path) == []
    web.files["a.tif"] = CONTENT[:-5]
    with pytest.raises(DownloadError, match=r"got 511,995 of 512,000 bytes"):
        get(web, tmp_path)
    web.files["a.tif"], web.etags["a.tif"] = CONTENT, '"two"'
    assert get(web, tmp_path)


def test_a_wrong_hash_is_seen(web: web_folder.WebFolder, tmp_path: Path) -> None:
    web.files["a.tif"] = CONTENT[::-1]
    with pytest.raises(DownloadError, match="SHA-256"):
        get(web, tmp_path)
    assert names(tmp_path) == []


def test_nothing_known_of_a_file_is_nothing_to_check(
    web: web_folder.WebFolder, tmp_path: Path
) -> None:
    web.files["a.tif"] = b"anything"
    assert get(web, tmp_path, RemoteFile("a.tif"))
    assert (tmp_path / "a.tif").read_bytes() == b"anything"


def test_a_missing_file_and_a_missing_server_are_one_line(
    web: web_folder.WebFolder, tmp_path: Path
) -> None:
    with pytest.raises(DownloadError, match="the server answers 404 Not Found"):
        get(web, tmp_path, RemoteFile("b.tif"))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(DownloadError, match="no connection; is the network there"):
        download(f"http://127.0.0.1:{port}/a.tif", FILE, tmp_path)
    assert names(tmp_path) == []


def test_a_full_disk_is_left_to_the_command_line_and_keeps_the_part(
    web: web_folder.WebFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(done: int, _: int | None) -> None:
        if done > 300_000:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        download(f"{web.address}/a.tif", FILE, tmp_path, progress=full)
    assert (tmp_path / "a.tif.part").stat().st_size > 300_000


# EPFL's files


def test_the_catalogue_names_the_four_files() -> None:
    assert [file.name for file in FILES] == [
        "training.tif", "training_groundtruth.tif", "testing.tif", "testing_groundtruth.tif",
    ]  # fmt: skip
    assert ADDRESS.startswith("https://documents.epfl.ch/")
    voxels = 165 * 768 * 1024
    for file in FILES:
        assert file.size is not None
        assert voxels < file.size < 1.01 * voxels  # without compression, and a little beside


def test_one_file_that_fails_does_not_keep_the_others(
    web: web_folder.WebFolder, tmp_path: Path
) -> None:
    files = [RemoteFile("b.tif", 3), FILE]
    with pytest.raises(DownloadError, match=r"b\.tif: the server answers 404") as failed:
        download_epfl(tmp_path / "new", address=web.address + "/", files=files)
    assert "\n" not in str(failed.value)
    assert (tmp_path / "new" / "a.tif").read_bytes() == CONTENT
    rows = download_epfl(tmp_path / "new", address=web.address, files=[FILE])
    assert rows == [
        {
            "name": "a.tif",
            "path": str(tmp_path / "new" / "a.tif"),
            "bytes": len(CONTENT),
            "downloaded": False,
        }
    ]


@pytest.mark.parametrize("address", ["ftp://a", "file:///etc", "epfl.ch", ""])
def test_an_address_has_to_be_one_of_the_web(tmp_path: Path, address: str) -> None:
    if address:
        with pytest.raises(InputError, match="--from: expected an address that begins with http"):
            download_epfl(tmp_path, address=address)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="--out: expected a folder"):
        download_epfl(tmp_path / "file", address="http://127.0.0.1:1")


def test_timeouts_are_finite() -> None:
    assert all(value for value in module._TIMEOUT.as_dict().values())
