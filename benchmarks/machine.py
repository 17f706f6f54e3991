"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("optuna", "ray", "sqlalchemy", "psycopg2-binary")


def describe_machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, object]:
    """Names the processor, how many of its cores this process may use, and how busy they were."""
    return {
        "cpu": _cpu_model(cpuinfo),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
    }


def describe_versions() -> dict[str, str]:
    """The versions of Python and of the packages that are measured."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def _cpu_model(cpuinfo: Path) -> str:
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
