"""The locks hold what pyproject.toml asks for, and `make install` knows every one of them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
# A lock is a set to install: the project, an extra of TensorFlow, and what the set is for.
BESIDE = {"cpu": [], "gpu": [], "gp": ["cpu"], "test": ["cpu"], "bench": ["cpu", "test"]}


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def locked(extra: str) -> set[str]:
    lines = (ROOT / "requirements" / f"{extra}.txt").read_text(encoding="utf-8").splitlines()
    return {name_of(line) for line in lines if line[:1].isalnum()}


def test_every_extra_has_its_lock() -> None:
    assert EXTRAS.keys() == BESIDE.keys()


@pytest.mark.parametrize("extra", BESIDE)
def test_a_lock_holds_what_is_asked_for(extra: str) -> None:
    asked = PROJECT["dependencies"] + [
        requirement for each in (extra, *BESIDE[extra]) for requirement in EXTRAS[each]
    ]
    assert {name_of(requirement) for requirement in asked} - locked(extra) == set()


@pytest.mark.parametrize("extra", BESIDE)
def test_make_installs_every_extra(extra: str) -> None:
    asked = [f"EXTRAS={extra}", f"PYTHON={sys.executable}"]
    command = ["make", "--dry-run", "--always-make", "install", *asked]
    plan = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert plan.returncode == 0, plan.stderr
    assert f"requirements/{extra}.txt" in plan.stdout
