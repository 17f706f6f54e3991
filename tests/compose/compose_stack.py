"""The stack of docker-compose.yml, in a folder and under a name of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_NEEDED = ("docker-compose.yml", "Dockerfile", ".dockerignore", "pyproject.toml", "README.md")
_FOLDERS = ("requirements", "search", "storage", "trainer", "configs", "docker")
CONFIG = "configs/stack.toml"
PROJECT = "unet-search-test"
SERVICES = ("postgres", "ray-head", "worker", "search", "dashboard")
_SECONDS = 900.0


def compose_command() -> list[str] | None:
    """`docker compose` where it is there, else `docker-compose`; None without an engine."""
    if shutil.which("docker") is None or _run("docker", "info").returncode:
        return None
    if not _run("docker", "compose", "version").returncode:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


def _run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=900, check=False, **options
    )


class Stack:
    """Its services, and what is asked of them."""

    def __init__(self, folder: Path, compose: list[str]) -> None:
        self.folder = folder
        self.ports = (_free_port(), _free_port())
        files = [folder / "docker-compose.yml", Path(__file__).with_name("build.yml")]
        chosen = [part for file in files for part in ("-f", str(file))]
        self._compose = [*compose, "-p", PROJECT, *chosen]
        self._environment = {
            **os.environ,
            "SEARCH_CONFIG": CONFIG,
            "UNET_SEARCH_TAG": "test",
            "WORKER_CPUS": "1",
            "WORKER_SHARED_MEMORY": "256mb",
            "DASHBOARD_PORT": str(self.ports[0]),
            "RAY_DASHBOARD_PORT": str(self.ports[1]),
        }
        for name in (*_NEEDED, "LICENSE"):
            shutil.copy2(ROOT / name, folder / name)
        for name in _FOLDERS:
            shutil.copytree(ROOT / name, folder / name)
        shutil.copy2(Path(__file__).with_name("stack.toml"), folder / CONFIG)

    def compose(self, *arguments: str, check: bool = True) -> str:
        done = _run(*self._compose, *arguments, cwd=self.folder, env=self._environment)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def up(self) -> None:
        self.compose("up", "--detach", "--scale", "worker=2")

    def containers(self, service: str = "") -> list[str]:
        """Names of the containers that there are, of a service or of all."""
        label = f"label=com.docker.compose.project={PROJECT}"
        chosen = ["--filter", f"label=com.docker.compose.service={service}"] if service else []
        found = docker("ps", "--all", "--format", "{{.Names}}", "--filter", label, *chosen)
        return sorted(found.split())

    def inspect(self, container: str) -> dict[str, Any]:
        (facts,) = json.loads(docker("inspect", container))
        return dict(facts)

    def address(self, service: str, network: str) -> str:
        networks = self.inspect(self.containers(service)[0])["NetworkSettings"]["Networks"]
        return str(networks[f"{PROJECT}_{network}"]["IPAddress"])

    def execute(self, service: str, *command: str) -> str:
        return self.compose("exec", "-T", service, *command)

    def status(self) -> dict[str, Any]:
        """What `unet-search status` prints; empty while there is no study."""
        container = self.containers("dashboard")[0]
        command = ("unet-search", "status", CONFIG, "--json")
        done = _run("docker", "exec", container, *command)
        return dict(json.loads(done.stdout)) if done.returncode == 0 else {}

    def epochs(self) -> int:
        return int(self.status().get("budget", {}).get("epochs_trained", 0))

    def wait_until(self, reached: Callable[[], bool]) -> None:
        until = time.monotonic() + _SECONDS
        while not reached():
            assert time.monotonic() < until, self.compose("logs", "--no-color", "--tail=30")
            time.sleep(1)

    def set_trials(self, trials: int) -> None:
        """Sets the budget of the search, for when it is started the next time."""
        config = self.folder / CONFIG
        config.write_text(re.sub(r"(?m)^trials = .*$", f"trials = {trials}", config.read_text()))

    def secrets(self) -> list[str]:
        places = (("postgres", "database/password"), ("ray-head", "ray/token"))
        return [self.execute(service, "cat", f"/secrets/{path}") for service, path in places]


def docker(*arguments: str, check: bool = True) -> str:
    done = _run("docker", *arguments)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return (done.stdout + done.stderr).strip()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
