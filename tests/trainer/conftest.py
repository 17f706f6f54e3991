"""What tests that run a network share: one TensorFlow, set up once, and a phantom to learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from trainer.device import Device
    from trainer.volume import Volume


@pytest.fixture(scope="session")
def device() -> Device:
    """One core and deterministic operations, as a worker sets its process up."""
    from trainer.device import configure_device

    return configure_device(1)


@pytest.fixture(scope="session")
def phantom() -> Volume:
    from trainer.phantom import build_phantom

    return build_phantom(24, 96, 96, seed=3)
