from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainer.device import Device, _quiet, configure_device, cpu_precision


def cpuinfo(folder: Path, flags: str) -> Path:
    path = folder / "cpuinfo"
    core = f"processor\t: 0\nmodel name\t: Made Up\n{flags}\nbogomips\t: 1\n\n"
    path.write_text(core * 2)
    return path


@pytest.mark.parametrize("flag", ["amx_bf16", "avx512_bf16"])
def test_a_processor_that_multiplies_bfloat16_is_told_by_its_flags(
    tmp_path: Path, flag: str
) -> None:
    path = cpuinfo(tmp_path, f"flags\t\t: fpu avx2 {flag} sse")
    assert cpu_precision(path) == "mixed_bfloat16"


@pytest.mark.parametrize(
    "flags",
    [
        "flags\t\t: fpu avx2 avx512f avx512_fp16",
        "flags\t\t:",
        "Features\t: fp asimd bf16",
        "vmx flags\t: amx_bf16",
        "flags\t\t: not_amx_bf16",
    ],
)
def test_every_other_processor_stays_with_float32(tmp_path: Path, flags: str) -> None:
    assert cpu_precision(cpuinfo(tmp_path, flags)) == "float32"


def test_where_there_is_no_such_file_float32_it_is(tmp_path: Path) -> None:
    assert cpu_precision(tmp_path / "nowhere") == "float32"
    (tmp_path / "empty").write_text("")
    assert cpu_precision(tmp_path / "empty") == "float32"


def test_the_device_has_a_name_a_kind_and_a_precision(device: Device) -> None:
    assert device.name
    assert device.kind in ("cpu", "gpu")
    assert (device.gpus > 0) == (device.kind == "gpu")
    assert device.precision in ("float32", "mixed_bfloat16")
    if device.kind == "cpu":
        assert device.precision == cpu_precision()


def test_operations_are_deterministic(device: Device) -> None:
    from tensorflow.python.framework.config import is_op_determinism_enabled

    assert is_op_determinism_enabled()


def test_a_later_call_cannot_change_the_cores_and_says_how_many_they_are(device: Device) -> None:
    import tensorflow as tf

    tf.zeros(1)
    assert configure_device(7) == configure_device(device_threads())


def device_threads() -> int:
    import tensorflow as tf

    return int(tf.config.threading.get_intra_op_parallelism_threads())


def test_quiet_keeps_what_is_written_to_stderr_away_and_gives_it_back(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with _quiet():
        os.write(2, b"noise")
    os.write(2, b"word")
    assert capfd.readouterr().err == "word"


def test_an_error_still_comes_through_and_stderr_back(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ImportError), _quiet():
        raise ImportError("no keras")
    os.write(2, b"word")
    assert capfd.readouterr().err == "word"


def test_convolutions_are_those_of_onednn() -> None:
    configure_device(1)
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
