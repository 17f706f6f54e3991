from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer import device as module
from trainer.device import Device, _quiet, configure_device, cpu_precision, gpu_precision
from trainer.errors import InputError


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
    assert device.precision in ("float32", "mixed_bfloat16", "mixed_float16")
    if device.kind == "cpu":
        assert device.precision == cpu_precision()


class Card:
    """What JAX says of a GPU."""

    platform = "gpu"
    device_kind = "Made Up 9000"
    compute_capability = "9.0"


def on_backend(monkeypatch: pytest.MonkeyPatch, backend: str, framework: Any) -> Device:
    monkeypatch.setattr("keras.backend.backend", lambda: backend)
    monkeypatch.setitem(sys.modules, backend, framework)
    monkeypatch.delenv("XLA_PYTHON_CLIENT_MEM_FRACTION", raising=False)
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    return configure_device(1, gpu_share=0.25)


@pytest.mark.parametrize(("platform", "kind"), [("gpu", "gpu"), ("cpu", "cpu")])
def test_on_jax_the_card_is_named_and_shared(
    monkeypatch: pytest.MonkeyPatch, platform: str, kind: str
) -> None:
    monkeypatch.setattr(Card, "platform", platform)
    jax = types.SimpleNamespace(devices=lambda: [Card()], device_count=lambda: 2)
    found = on_backend(monkeypatch, "jax", jax)
    assert os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.250"
    assert found.kind == kind
    if kind == "gpu":
        assert found == Device("Made Up 9000", "gpu", "mixed_bfloat16", 2)
    else:
        assert (found.name, found.precision) == ("jax on the CPU", cpu_precision())


@pytest.mark.parametrize("there", [True, False])
def test_on_torch_the_card_is_named(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    cuda = types.SimpleNamespace(
        is_available=lambda: there,
        get_device_name=lambda: "Made Up 7000",
        get_device_capability=lambda: (7, 5),
        device_count=lambda: 1,
    )
    found = on_backend(monkeypatch, "torch", types.SimpleNamespace(cuda=cuda))
    expected = Device("Made Up 7000", "gpu", "mixed_float16", 1)
    assert found == (expected if there else Device("torch on the CPU", "cpu", cpu_precision()))


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


@pytest.mark.slow
@pytest.mark.parametrize("first", ["trainer.session", "search.runner"])
def test_convolutions_are_those_of_onednn_whatever_is_imported_first(first: str) -> None:
    """TensorFlow decides it at its own import, and some of our modules bring that about."""
    told = (
        f"import {first}\n"
        "from trainer.device import configure_device\n"
        "configure_device(1)\n"
        "from tensorflow.python.util import _pywrap_util_port\n"
        "print(_pywrap_util_port.IsMklEnabled())\n"
    )
    plain = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    done = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, check=True, env=plain
    )
    assert done.stdout.split() == ["True"]


@pytest.mark.parametrize(
    ("capability", "precision"),
    [
        ((6, 1), "float32"),
        ((7, 0), "mixed_float16"),
        ((7, 5), "mixed_float16"),
        ((8, 0), "mixed_bfloat16"),
        ((8, 6), "mixed_bfloat16"),
        ((9, 0), "mixed_bfloat16"),
        ((12, 0), "mixed_bfloat16"),
        ((0, 0), "float32"),
    ],
)
def test_a_gpu_has_the_precision_that_it_multiplies(
    capability: tuple[int, int], precision: str
) -> None:
    assert gpu_precision(capability) == precision


@pytest.fixture
def two_cards(device: Device, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """TensorFlow with two GPUs of 16 GB, and what it was told of them."""
    import tensorflow as tf

    told: dict[str, list[Any]] = {"growth": [], "limits": []}
    details = {"device_name": "Made Up", "compute_capability": (7, 5)}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["first", "second"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)
    monkeypatch.setattr(
        tf.config.experimental,
        "set_memory_growth",
        lambda gpu, enable: told["growth"].append((gpu, enable)),
    )
    monkeypatch.setattr(
        tf.config,
        "set_logical_device_configuration",
        lambda gpu, parts: told["limits"].append((gpu, *(part.memory_limit for part in parts))),
    )
    monkeypatch.setattr(module, "read_card_bytes", lambda: 16_000_000_000)
    return told


def test_a_process_with_a_card_to_itself_takes_memory_as_it_needs_it(
    two_cards: dict[str, list[Any]],
) -> None:
    found = configure_device(device_threads())
    assert found == Device("Made Up", "gpu", "mixed_float16", 2, 15_000_000_000)
    assert two_cards == {"growth": [("first", True), ("second", True)], "limits": []}


def test_a_process_with_a_share_never_takes_more(two_cards: dict[str, list[Any]]) -> None:
    found = configure_device(device_threads(), gpu_share=0.25)
    assert found.memory_bytes == 3_000_000_000
    megabytes = 3_000_000_000 // 2**20
    assert two_cards == {"growth": [], "limits": [("first", megabytes), ("second", megabytes)]}


def test_without_a_word_of_the_driver_memory_grows(
    two_cards: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "read_card_bytes", lambda: None)
    assert configure_device(device_threads(), gpu_share=0.25).memory_bytes is None
    assert len(two_cards["growth"]) == 2
    assert not two_cards["limits"]


def test_a_share_that_is_too_small_is_refused_before_anything_is_set(
    two_cards: dict[str, list[Any]],
) -> None:
    with pytest.raises(InputError, match=r"^workers\.gpus_per_trial: expected at least 0\.09"):
        configure_device(device_threads(), gpu_share=0.01)
    assert two_cards == {"growth": [], "limits": []}


@pytest.mark.parametrize("error", [RuntimeError("started"), ValueError("virtual devices")])
def test_what_was_set_by_an_earlier_call_stays(
    two_cards: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    import tensorflow as tf

    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", _raising(error))
    assert configure_device(device_threads()).kind == "gpu"


def _raising(error: Exception) -> Callable[..., None]:
    def fail(*arguments: Any) -> None:
        raise error

    return fail
