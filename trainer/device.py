"""The processor or GPU of this process, and the precision that it is fast in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.cores import usable_cores
from trainer.freed_memory import keep_freed_memory
from trainer.gpu_memory import read_card_bytes, share_of_memory

_CPU_BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}
_CPU_WIDE_FLAG = "avx512f"
_VOLTA, _AMPERE = 7, 8
_MEGABYTE = 1 << 20  # as TensorFlow counts a limit


@dataclass(frozen=True)
class Device:
    """What this process trains on.

    Attributes:
        name: For people: the GPU's name, or the number of CPU cores.
        kind: `gpu` or `cpu`.
        precision: The Keras dtype policy that is fastest here without loss of accuracy.
        gpus: How many this machine has.
        memory_bytes: Of a GPU, what this process may take; None where nobody knows, or on a CPU.
    """

    name: str
    kind: str
    precision: str
    gpus: int = 0
    memory_bytes: int | None = None


def configure_device(threads: int | None = None, *, gpu_share: float = 1.0) -> Device:
    """Sets this process up for training; called before the first network is built.

    A process that has a GPU to itself takes its memory as it is needed; one that has a share of it
    never takes more than that, since what it takes its neighbours lack.

    Args:
        threads: CPU cores to use; all of them by default. TensorFlow fixes it at its first
            operation, a later call cannot change it.
        gpu_share: Of a GPU, where several processes share it; from 1 on it is its own. The same
            holds for it.

    Raises:
        InputError: The share is too small to train in.
    """
    keep_freed_memory()
    # JAX would take most of a GPU's memory at once; what it grows to has a limit all the same.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if 0 < gpu_share < 1:
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{gpu_share:.3f}")
    with _quiet():
        import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _configure_tensorflow(threads or usable_cores(), gpu_share)
    find = {"jax": _find_jax_card, "torch": _find_torch_card}.get(backend, lambda: None)
    return find() or Device(f"{backend} on the CPU", "cpu", cpu_precision())


def cpu_precision(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """`mixed_bfloat16` where the processor multiplies bfloat16, else `float32`."""
    return "mixed_bfloat16" if _CPU_BFLOAT16_FLAGS & _cpu_flags(cpuinfo) else "float32"


def _cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> set[str]:
    """What the processor can do, under the names of the kernel; nothing where it does not say."""
    try:
        text = cpuinfo.read_text()
    except OSError:
        return set()
    return set(next((line for line in text.splitlines() if line.startswith("flags")), "").split())


def gpu_precision(capability: tuple[int, int]) -> str:
    """The policy that a GPU of that compute capability multiplies fastest in.

    bfloat16 from Ampere (8.0) on; Volta and Turing have float16 alone; before them neither is fast.
    """
    if capability[0] >= _AMPERE:
        return "mixed_bfloat16"
    return "mixed_float16" if capability[0] >= _VOLTA else "float32"


def _configure_tensorflow(threads: int, gpu_share: float) -> Device:
    import tensorflow as tf

    # Same seed, same device, same result: also what makes a search repeatable.
    tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")
    memory = _find_room(gpu_share) if gpus else None
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        _bound_memory(tf, gpus, memory if gpu_share < 1 else None)
    except (RuntimeError, ValueError):
        # An earlier call has started TensorFlow, or divided the card: it stays as it is.
        threads = tf.config.threading.get_intra_op_parallelism_threads() or threads
    with _quiet():
        tf.zeros(1)  # starts the runtime, which has more to say
    if not gpus:
        if _CPU_WIDE_FLAG not in _cpu_flags():
            # A convolution with the normalization behind it in one operation is oneDNN's slowest
            # where it has no AVX-512: ten times as slow as the two apart.
            tf.config.optimizer.set_experimental_options({"remapping": False})
        return Device(f"{threads} CPU core{'s' if threads > 1 else ''}", "cpu", cpu_precision())
    details = tf.config.experimental.get_device_details(gpus[0])
    precision = gpu_precision(details.get("compute_capability", (0, 0)))
    return Device(details.get("device_name", "GPU"), "gpu", precision, len(gpus), memory)


def _find_jax_card() -> Device | None:
    import jax

    card = jax.devices()[0]
    if card.platform != "gpu":
        return None
    major, _, minor = str(card.compute_capability).partition(".")
    precision = gpu_precision((int(major), int(minor or 0)))
    return Device(str(card.device_kind), "gpu", precision, jax.device_count())


def _find_torch_card() -> Device | None:
    import torch

    if not torch.cuda.is_available():
        return None
    precision = gpu_precision(torch.cuda.get_device_capability())
    return Device(torch.cuda.get_device_name(), "gpu", precision, torch.cuda.device_count())


def _find_room(gpu_share: float) -> int | None:
    total = read_card_bytes()
    return None if total is None else share_of_memory(total, gpu_share)


def _bound_memory(tf: Any, gpus: list[Any], limit: int | None) -> None:
    """Sets a limit, or lets memory grow with what is needed.

    Raises:
        RuntimeError: TensorFlow has been started already.
    """
    for gpu in gpus:
        if limit is None:
            tf.config.experimental.set_memory_growth(gpu, True)
            continue
        bounded = tf.config.LogicalDeviceConfiguration(memory_limit=limit // _MEGABYTE)
        tf.config.set_logical_device_configuration(gpu, [bounded])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what TensorFlow's C++ writes at its start off the terminal.

    Lines of before its logging is set up heed no setting. An error still raises.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
