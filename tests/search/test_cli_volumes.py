"""The commands about volumes, as they are typed: explore and data epfl."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from search import cli
from trainer import epfl as epfl_module
from trainer import explore as explore_module
from trainer.download import RemoteFile
from trainer.exploration_page import Picture
from trainer.phantom import build_phantom
from trainer.stack import write_stack

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Runs a command in a folder with a volume, as the shell would."""
    for name in ("tensorflow", "keras", "ray"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.chdir(tmp_path)
    picture = Picture("sections", "Sections", "See.", b"png")
    monkeypatch.setattr(explore_module, "draw_exhibits", lambda _: iter([picture]))
    volume = build_phantom(12, 64, 64, seed=1)
    write_stack(Path("raw.tif"), volume.raw, None)
    write_stack(Path("mask.tif"), volume.mask, None)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["unet-search", *arguments])
        capsys.readouterr()
        code = cli._run()
        return (code, *capsys.readouterr())

    return run


def test_explore_prints_its_json(call: Call) -> None:
    code, out, _ = call(
        "explore", "--raw", "raw.tif", "--mask", "mask.tif", "--out", "out",
        "--voxel-size-nm", "8,8,8", "--json",
    )  # fmt: skip
    assert code == 0
    facts = json.loads(out)
    assert facts == json.loads(Path("out/explore.json").read_text())
    assert facts.keys() >= {
        "foreground_fraction", "objects_2d", "objects_3d", "mean_area_nm2", "mean_volume_nm3",
        "threshold_dice", "guard_gap_sections",
    }  # fmt: skip
    assert facts["mean_area_nm2"] == pytest.approx(64 * facts["mean_area_voxels"])


def test_explore_tells_a_person_the_numbers_the_faults_and_the_page(call: Call) -> None:
    raw = build_phantom(12, 64, 64, seed=1).raw
    raw[5] = raw[6]
    write_stack(Path("raw.tif"), raw, None)
    code, out, err = call("explore", "--raw", "raw.tif", "--mask", "mask.tif", "--out", "out")
    assert code == 0
    assert "guard gap" in out
    assert "duplicate: sections 5, 6: identical" in out
    assert "mask shift: not checked: it takes 8 sections" in out
    assert "page: out/explore.html" in out
    assert "--voxel-size-nm Z,Y,X" in err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["explore", "--raw", "raw.tif"], "--out"),
        (["explore", "--out", "out"], "--raw"),
        (["explore", "--raw", "none.tif", "--out", "out"], "no such file"),
        (["explore", "--raw", "raw.tif", "--out", "."], "choose another name"),
        (["explore", "--raw", "raw.tif", "--out", "raw.tif"], "got the file"),
        (
            ["explore", "--raw", "raw.tif", "--out", "out", "--voxel-size-nm", "5"],
            "expected three numbers",
        ),
        (["explore", "--raw", "raw.tif", "--out", "out", "--voxel-size-nm", "a"], "Z,Y,X"),
        (["explore", "--raw", "raw.tif", "--mask", "small.tif", "--out", "out"], "same shape"),
        (["data"], "Missing command"),
        (["data", "epfl"], "--out"),
        (["data", "epfl", "--out", "raw.tif"], "--out: expected a folder"),
        (["data", "epfl", "--out", "out", "--from", "ftp://a"], "begins with http"),
    ],
)
def test_what_is_wrong_is_one_line(call: Call, arguments: list[str], part: str) -> None:
    write_stack(Path("small.tif"), np.ones((2, 9, 9), np.uint8), None)
    before = {path.name for path in Path.cwd().iterdir()}
    code, out, err = call(*arguments)
    *_, line = err.splitlines()
    assert (code, out) == (2, "")
    assert line.startswith("unet-search: ")
    assert part in line
    assert {path.name for path in Path.cwd().iterdir()} == before


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_data_epfl_from_a_mirror(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("served").mkdir()
    Path("served/a.tif").write_bytes(b"tissue" * 1000)
    monkeypatch.setattr(epfl_module.download_epfl, "__kwdefaults__",
                        {**epfl_module.download_epfl.__kwdefaults__,
                         "files": (RemoteFile("a.tif", 6000),)})  # fmt: skip
    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            code, out, err = call("data", "epfl", "--out", "got", "--from", f"{address}/served")
            assert (code, out) == (0, "")
            assert "a.tif: complete" in err
            assert Path("got/a.tif").read_bytes() == b"tissue" * 1000
            code, out, _ = call(
                "data", "epfl", "--out", "got", "--from", f"{address}/served", "--json"
            )
            assert code == 0
            assert json.loads(out)[0]["downloaded"] is False
            code, out, err = call("data", "epfl", "--out", "other", "--from", f"{address}/nowhere")
            assert (code, out) == (1, "")
            assert err.startswith(f"unet-search: {address}/nowhere/a.tif: the server answers 404")
            assert len(err.splitlines()) == 1
        finally:
            server.shutdown()
            thread.join()
