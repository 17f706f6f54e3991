from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from command_line import CONFIG, FILES, Call, refusal

from search import cli

ROOT = Path(__file__).parents[2]


# What is typed


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["Missing command"]),
        (["serach"], ["No such command", "serach"]),
        (["run"], ["Missing argument", "config"]),
        (["run", "mito.toml", "--trails", "3"], ["No such option", "--trails"]),
        (["run", "mito.toml", "more.toml"], ["unexpected", "more.toml"]),
        (["run", "mito.toml", "--trials", "many"], ["--trials", "integer"]),
        (["run", "mito.toml", "--trials", "0"], ["--trials", "greater than or equal to 1"]),
        (["run", "mito.toml", "--trials", "-3"], ["--trials", "greater than or equal to 1"]),
        (["run", "mito.toml", "--trials"], ["--trials"]),
        (["run", "mito.toml", "--hours", "0"], ["budget.hours", "greater than 0"]),
        (["run", "mito.toml", "--hours", "nan"], ["budget.hours", "finite"]),
        (["run", "mito.toml", "--raw", "a.tif"], ["data", "both raw and mask"]),
        (["run", "nothing.toml"], ["nothing.toml", "found none"]),
        (["best", "mito.toml", "--top", "0"], ["--top", "greater"]),
        (["export", "mito.toml"], ["--out"]),
        (["dashboard", "mito.toml", "--port", "0"], ["--port", "greater"]),
        (
            ["evaluate", "m", "--raw", "a", "--mask", "b", "--voxel-size-nm", "5,x"],
            ["--voxel-size-nm", "5,x"],
        ),
        (
            ["evaluate", "m", "--raw", "a", "--mask", "b", "--sections", "145-165"],
            ["--sections: expected FIRST,END", "145-165"],
        ),
        (
            ["explain", "m", "--raw", "a", "--section", "1", "--box", "9,0,5,9", "--out", "o"],
            ["--box", "y0,x0,y1,x1", "9,0,5,9"],
        ),
        (["predict", "m", "a.tif"], ["Missing argument", "output"]),
        (["predict", "m", "a.tif", "b.png"], ["b.png", "ends in .tif, .ome.tif or .zarr"]),
        (["predict", "m", "a.tif", "b.tif"], ["volume a.tif", "no such file"]),
        (["predict", "m", "mito.toml", "b.tif"], ["volume mito.toml", "not a TIFF"]),
        (["predict", "m", "a.tif", "b.tif", "--overlap", "0.5"], ["--overlap", "--window"]),
        (
            ["predict", "m", "a.tif", "b.tif", "--window", "64", "--overlap", "1"],
            ["overlap", "from 0 to under 1"],
        ),
    ],
    ids=" ".join,
)
def test_a_slip_in_a_command_is_one_line(
    call: Call, tmp_path: Path, arguments: list[str], parts: list[str]
) -> None:
    message = refusal(call(*arguments))
    for part in parts:
        assert part in message
    assert [path.name for path in tmp_path.iterdir()] == ["mito.toml"]


@pytest.mark.parametrize(
    ("slip", "parts"),
    [
        (("trials = 4", "trials = = 4"), ["TOML", "line 7"]),
        (("trials = 4", "trials = 'four'"), ["budget.trials", "a whole number", "'four'"]),
        (("trials = 4", "trails = 4"), ["budget.trails", "did you mean 'trials'?"]),
        (("learning_rate", "lerning_rate"), ["space.lerning_rate", "'learning_rate'"]),
        (("low = 1e-4", "low = 1e-1"), ["space.learning_rate", "low below high"]),
        (("tile_size = 16", "tile_size = 18"), ["space.tile_size", "multiple of 4", "18"]),
        (("tile_size = 16", "tile_size = 64"), ["space.tile_size", "at most 32", "64"]),
        (("gap = 1", "gap = 11"), ["gap 11"]),
        (("gap = 1", "gap = 1\nholdout = [20, 30]"), ["holdout", "12"]),
        (("sections = 12", "sections = 2"), ["data.phantom.sections", "2"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_slip_in_a_config_is_one_line(
    call: Call, tmp_path: Path, slip: tuple[str, str], parts: list[str], command: str
) -> None:
    assert slip[0] in CONFIG
    (tmp_path / "mito.toml").write_text(CONFIG.replace(*slip))
    message = refusal(call(command, "mito.toml"))
    for part in parts:
        assert part in message
    assert [path.name for path in tmp_path.iterdir()] == ["mito.toml"]


# What the files hold

RAW = np.random.default_rng(0).integers(0, 255, (12, 32, 40), dtype=np.uint8)
MASK = (RAW > 200).astype(np.uint8)


def _write(path: Path, content: Any) -> None:
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        photometric = "rgb" if content.shape[-1] == 3 else "minisblack"
        tifffile.imwrite(path, content, photometric=photometric)


@pytest.mark.parametrize(
    ("raw", "mask", "parts"),
    [
        (None, MASK, ["raw.tif"]),
        (RAW, None, ["mask.tif"]),
        (b"these are no pixels", MASK, ["raw.tif", "TIFF"]),
        (RAW, b"", ["mask.tif"]),
        (RAW[0], MASK, ["raw.tif"]),
        (RAW, MASK[0], ["mask.tif"]),
        (RAW, MASK[:-1], ["12 x 32 x 40", "11 x 32 x 40"]),
        (RAW, MASK[:, :-1], ["12 x 32 x 40", "12 x 31 x 40"]),
        (np.stack([RAW] * 3, axis=-1), MASK, ["raw.tif"]),
        (RAW, np.zeros_like(MASK), ["mask.tif"]),
        (RAW[:, :8, :8], MASK[:, :8, :8], ["space.tile_size", "8 x 8", "16"]),
        (RAW[:2], MASK[:2], ["2 sections", "gap 1"]),
    ],
    ids=[
        "no raw", "no mask", "no TIFF", "empty file", "one page", "one page of mask",
        "fewer sections", "fewer rows", "RGB", "empty mask", "smaller than a tile", "too short",
    ],
)  # fmt: skip
def test_files_that_cannot_be_used_are_named_and_nothing_is_written(
    call: Call, tmp_path: Path, raw: Any, mask: Any, parts: list[str]
) -> None:
    _write(tmp_path / "raw.tif", raw)
    _write(tmp_path / "mask.tif", mask)
    given = ("--raw", "raw.tif", "--mask", "mask.tif")
    message = refusal(call("run", "mito.toml", *given))
    for part in parts:
        assert part in message
    assert not (tmp_path / "runs").exists()
    (tmp_path / "mito.toml").write_text(FILES)
    assert refusal(call("check", "mito.toml")) == message


# How a command ends


def _typers_way() -> None:
    raise BrokenPipeError(32, "Broken pipe")


def _richs_way() -> None:
    try:
        _typers_way()
    except BrokenPipeError:
        raise SystemExit(1)  # noqa: B904 - as Rich does it


def test_an_exit_that_somebody_else_asks_for_is_none_of_success(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_open", lambda *_: sys.exit(15))
    monkeypatch.setattr(sys, "argv", ["unet-search", "status", "mito.toml"])
    with pytest.raises(SystemExit) as ended:
        cli._run()
    assert ended.value.code == 15


@pytest.mark.parametrize("end", [_typers_way, _richs_way])
def test_a_reader_who_has_seen_enough_is_no_error(
    call: Call, monkeypatch: pytest.MonkeyPatch, end: Callable[[], None]
) -> None:
    def write(config: Path, settings: list[str] | None) -> None:
        end()

    monkeypatch.setattr(cli, "_open", write)
    # Typer puts a wrapper of its own into their place.
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr(sys, "argv", ["unet-search", "status", "mito.toml"])
    assert cli._run() == 0


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied", "/sealed/.out.tif.partial"),
            2,
            "/sealed/.out.tif.partial: Permission denied; name another path, or",
        ),
        (OSError(errno.EROFS, "Read-only file system", b"out"), 2, "out: Read-only file system; n"),
        (OSError(errno.EMFILE, "Too many open files", "a.tif"), 1, "a.tif: Too many open files; s"),
        (OSError(errno.ENOSPC, "No space left on device", "a"), 1, "No space left on device: make"),
        (MemoryError("Unable to allocate 3. TiB"), 1, "out of memory (Unable to allocate 3. TiB)"),
        (MemoryError(), 1, "out of memory (MemoryError): free some"),
        (RuntimeError("RESOURCE_EXHAUSTED: on\nGPU"), 1, "out of memory (RESOURCE_EXHAUSTED: on)"),
    ],
    ids=str,
)
def test_what_the_system_refuses_is_one_line(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, line: str
) -> None:
    monkeypatch.setattr(cli, "_open", lambda *_: (_ for _ in ()).throw(error))
    answer = call("status", "mito.toml")
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith(f"unet-search: {line}")
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), KeyError("x")], ids=repr)
def test_an_error_of_the_programs_own_keeps_its_traceback(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(cli, "_open", lambda *_: (_ for _ in ()).throw(error))
    with pytest.raises(type(error)):
        call("status", "mito.toml")


def test_a_name_that_is_too_long_is_refused(call: Call, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 8, 8), np.uint8))
    name = "n" * 300
    message = refusal(call("explore", "--raw", "a.tif", "--out", name))
    assert f"{name}: File name too long; choose another" in message


# As a program


def run_program(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; sys.argv[0] = 'unet-search'\n"
        "from search.cli import main\n"
        "try: main()\n"
        "finally: sys.stdout.write('\\nloaded: ' + ' '.join(sys.modules))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT)},
    )


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    done = run_program("--help")
    assert (done.returncode, done.stderr) == (0, "")
    shown, loaded = done.stdout.split("loaded: ")
    for command in ("run", "check", "status", "best", "export", "evaluate", "explain", "predict"):
        assert f"\n  {command} " in shown
    heavy = {"tensorflow", "keras", "ray", "optuna", "numpy", "sqlalchemy", "pydantic"}
    assert heavy & set(loaded.split()) == set()


def test_a_refused_file_is_one_line_and_exit_code_2_for_a_shell(tmp_path: Path) -> None:
    (tmp_path / "mito.toml").write_text(FILES)
    done = run_program("run", "mito.toml", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("unet-search: raw raw.tif: ")
    assert done.stderr.count("\n") == 1
    assert {"tensorflow", "keras", "ray"} & set(done.stdout.split("loaded: ")[1].split()) == set()
    assert [path.name for path in tmp_path.iterdir()] == ["mito.toml"]
