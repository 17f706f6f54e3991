"""The processor or GPU of this process, and the precision that it is fast in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_CPU_BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}
_CPU_WIDE_FLAG = "avx512f"
_AMPERE = 8


@dataclass(frozen=True)
class Device:
    """What this process trains on.

    Attributes:
        name: For people: the GPU's name, or the number of CPU cores.
        kind: `gpu` or `cpu`.
        precision: The Keras dtype policy that is fastest here without loss of accuracy.
        gpus: How many this machine has.
    """

    name: str
    kind: str
    precision: str
    gpus: int = 0


def configure_device(threads: int | None = None) -> Device:
    """Sets this process up for training; called before the first network is built.

    A GPU's memory is taken as it is needed, so that several processes can share one.

    Args:
        threads: CPU cores to use; all of them by default. TensorFlow fixes it at its first
            operation, a later call cannot change it.
    """
    # JAX would take most of a GPU's memory at once.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # TensorFlow takes oneDNN's convolutions by itself where there is AVX-512 alone. With AVX2 they
    # are 1.5 to 3 times as fast as its own (benchmarks/execution_modes.py).
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with _quiet():
        import keras

    if keras.backend.backend() == "tensorflow":
        return _configure_tensorflow(threads or os.cpu_count() or 1)
    return Device(f"{keras.backend.backend()}'s default device", "cpu", cpu_precision())


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


def _configure_tensorflow(threads: int) -> Device:
    import tensorflow as tf

    # Same seed, same device, same result: also what makes a search repeatable.
    tf.config.experimental.enable_op_determinism()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:
        threads = tf.config.threading.get_intra_op_parallelism_threads() or threads
    with _quiet():
        tf.zeros(1)  # starts the runtime, which has more to say
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        if _CPU_WIDE_FLAG not in _cpu_flags():
            # A convolution with the normalization behind it in one operation is oneDNN's slowest
            # where it has no AVX-512: ten times as slow as the two apart.
            tf.config.optimizer.set_experimental_options({"remapping": False})
        return Device(f"{threads} CPU core{'s' if threads > 1 else ''}", "cpu", cpu_precision())
    details = tf.config.experimental.get_device_details(gpus[0])
    capability = details.get("compute_capability", (0, 0))
    precision = "mixed_bfloat16" if capability[0] >= _AMPERE else "float32"
    return Device(details.get("device_name", "GPU"), "gpu", precision, len(gpus))


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
