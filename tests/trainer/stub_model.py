"""A model whose network is no more than a word, and the line that refuses a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters
from trainer.model import Model

HP = Hyperparameters(depth=2, filters=4, tile_size=32, dropout=0.1)


class Stub:
    """A network that is written as a word, for what concerns the folder alone."""

    def __init__(self, word: str = "network", error: OSError | None = None) -> None:
        self._word, self._error = word, error

    def save(self, path: Path) -> None:
        path.write_text(self._word)
        if self._error:
            raise self._error


def stub(word: str = "network", error: OSError | None = None) -> Model:
    return Model(Stub(word, error), HP, 0.5, {"study": "s"})


def message_of(call: Callable[[], Any]) -> str:
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)
