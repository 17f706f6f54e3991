"""What the tests of the search share, under names that they can import."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, RDBStorage

from storage.database import database_from_environment
from storage.studies import open_study_storage


def _share(name: str) -> None:
    # The folders of the tests are no packages and not on the import path.
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


_share("fake_workers")
_share("search_rig")
_share("small_config")
_share("fault_rig")
search_rig = sys.modules["search_rig"]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test meets a database or a cluster of the person who runs it."""
    for name in ("UNET_SEARCH_DATABASE_URL", "UNET_SEARCH_DATABASE_PASSWORD_FILE", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power fails during these tests, so that nothing has to wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def closing_storages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes every database that the test opens, as the end of a process would."""
    opened: list[RDBStorage] = []
    build = RDBStorage.__init__

    def remember(self: RDBStorage, *arguments: Any, **settings: Any) -> None:
        build(self, *arguments, **settings)
        opened.append(self)

    monkeypatch.setattr(RDBStorage, "__init__", remember)
    yield
    for storage in opened:
        storage.remove_session()
        storage.engine.dispose()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with Optuna's tables, which take longer to make than most searches here."""
    database = database_from_environment(tmp_path_factory.mktemp("database"), {})
    storage = open_study_storage(database)
    storage.remove_session()
    storage.engine.dispose()
    return Path(str(database.url.database))


@pytest.fixture(params=["memory", "sqlite"])
def open_storage(
    request: pytest.FixtureRequest, tmp_path: Path, closing_storages: None
) -> Callable[[], BaseStorage]:
    """Opens the storage of the test once more, as another process would."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("empty_database"), tmp_path)
        database = database_from_environment(tmp_path, {})
        return lambda: open_study_storage(database)
    storage = optuna.storages.InMemoryStorage()
    return lambda: storage


@pytest.fixture
def rig(open_storage: Callable[[], BaseStorage], tmp_path: Path) -> Any:
    return search_rig.SearchRig(open_storage, tmp_path)


@pytest.fixture
def quick_rig(tmp_path: Path) -> Any:
    """In memory: for what does not depend on the storage."""
    storage = optuna.storages.InMemoryStorage()
    return search_rig.SearchRig(lambda: storage, tmp_path)


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Makes searches to break, in the folder of the test; what they leave running is ended."""
    rigs: list[Any] = []

    def build_rig(**settings: Any) -> Any:
        rigs.append(sys.modules["fault_rig"].FaultRig(tmp_path, **settings))
        return rigs[-1]

    yield build_rig
    for rig in rigs:
        rig.close()
