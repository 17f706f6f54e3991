from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from compose_stack import Stack, compose_command


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole stack with two workers, in the midst of a search."""
    compose = compose_command()
    if compose is None:
        pytest.skip("no Docker engine answers, or it has no docker compose")
    folder: Path = tmp_path_factory.mktemp("stack")
    built = Stack(folder, compose)
    built.compose("down", "--volumes", "--remove-orphans")
    try:
        built.compose("build")
        built.up()
        built.wait_until(lambda: built.epochs() > 0)
        yield built
    finally:
        built.compose("down", "--volumes", "--timeout", "5", check=False)
