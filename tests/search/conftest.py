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

from search import cli
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
_share("command_line")
_share("config_text")
_share("finalist_scene")
search_rig = sys.modules["search_rig"]
command_line = sys.modules["command_line"]


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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test writes its configuration."""
    return tmp_path / "mito.toml"


@pytest.fixture
def call(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    closing_storages: None,
) -> Any:
    """Runs a command in an empty folder, as the shell would."""
    # Whatever is tested so is found before anything heavy is loaded.
    for name in ("tensorflow", "keras", "ray"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mito.toml").write_text(command_line.CONFIG)

    def run(*arguments: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["unet-search", *arguments])
        capsys.readouterr()
        code = cli._run()
        return command_line.Answer(code, *capsys.readouterr())

    return run


@pytest.fixture
def scene(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    closing_storages: None,
    empty_database: Path,
) -> Any:
    """A search whose finalists are repeated."""
    shutil.copy(empty_database, tmp_path)
    return sys.modules["finalist_scene"].build_scene(tmp_path, monkeypatch)
