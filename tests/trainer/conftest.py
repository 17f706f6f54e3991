"""What several files of tests share: one TensorFlow, set up once, volumes and stand-ins."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from trainer.device import Device
    from trainer.model import Model
    from trainer.volume import Volume


def _share(name: str) -> None:
    # The folders of the tests are no packages and not on the import path. What is shared is read
    # when a test asks for it: much of it needs what is slow to load.
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


_share("segmentation_rig")
_share("small_stack")
_share("stub_model")


@pytest.fixture(scope="session")
def device() -> Device:
    """One core and deterministic operations, as a worker sets its process up."""
    from trainer.device import configure_device

    return configure_device(1)


@pytest.fixture(scope="session")
def phantom() -> Volume:
    from trainer.phantom import build_phantom

    return build_phantom(24, 96, 96, seed=3)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A volume to segment, in a file."""
    from segmentation_rig import SIZE, volume

    from trainer.stack import write_stack

    write_stack(tmp_path / "raw.tif", volume(13, 24, 31), SIZE)
    return tmp_path / "raw.tif"


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Callable[[Model], Model]:
    """What the model folder holds."""
    from segmentation_rig import model

    from trainer import segmentation

    def hold(given: Model) -> Model:
        monkeypatch.setattr(segmentation, "_load", lambda folder, options: given)
        return given

    # Asking the device would start a framework.
    monkeypatch.setattr(segmentation, "_precision", lambda options: "float32")

    hold(model())
    return hold
