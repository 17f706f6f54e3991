"""What a run needs to be repeated: versions and revision."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("unet-search", "tensorflow-cpu", "tensorflow", "keras", "optuna", "ray", "numpy")


def describe_software() -> dict[str, str]:
    """Versions of what a result depends on, and the source's git revision where there is one."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    revision = _git_revision()
    return found | ({"git": revision} if revision else {})


def _git_revision() -> str | None:
    # An image has no repository in it, and is told by whoever builds it.
    told = os.environ.get("UNET_SEARCH_REVISION")
    if told:
        return told
    source = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "-C", str(source), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
