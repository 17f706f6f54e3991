"""Fixtures that several packages' tests use; nothing heavy is imported before it is asked for."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

# How long an example takes says something about the machine, and nothing about the code.
settings.register_profile(
    "patient",
    settings.default,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")

# Files that take minutes, most of them waiting for a Ray of their own; the longest first.
_SLOW = (
    "test_search_end_to_end.py",
    "test_faults.py",
    "test_kills.py",
    "test_every_dimension.py",
    "test_ray_nodes.py",
    "test_throughput.py",
    "test_ray_workers.py",
    "test_export.py",
    "test_new_data.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts with what takes long, so that no process ends up with it alone."""
    order = {name: place for place, name in enumerate(_SLOW)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keeps the tests of a file together, so that what a file shares is made once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid.partition("::")[0]

    return ByFile(config, log)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL server; whoever stops it starts it again."""
    postgres = _load("postgres")
    binaries = postgres.find_binaries()
    if binaries is None:
        reason = "no PostgreSQL server in /usr/lib/postgresql or on PATH (Debian: postgresql)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    server: PostgresServer = postgres.PostgresServer(binaries)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer) -> str:
    """The URL, password included, of a database that the whole test run shares."""
    return postgres_server.create_database("shared")


def _load(name: str) -> Any:
    # The folders of the tests are no packages and not on the import path: `tests/search` there
    # would stand in the way of `search`.
    spec = importlib.util.spec_from_file_location(
        f"tests_{name}", Path(__file__).parent / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
