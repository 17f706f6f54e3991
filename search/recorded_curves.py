"""Learning curves of trials that were really trained, to be replayed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    model_validator,
)

from search.curves import Curve, position
from search.refusal import explain
from search.space import Dimension, Space
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters

_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_ELSEWHERE = -1
"""The place of a value that is none of a dimension's choices."""


class Recording(BaseModel):
    """A trial as a file holds it, such as one of those that `status --json` prints."""

    model_config = ConfigDict(frozen=True)

    params: dict[str, Any]
    values: tuple[FiniteFloat, ...] = Field(
        default=(), validation_alias=AliasChoices("values", "reports")
    )
    """The objective after each epoch from the first on."""
    epoch_seconds: _Seconds | tuple[_Seconds, ...] | None = None
    """Of each epoch, or of any."""

    @model_validator(mode="before")
    @classmethod
    def _find_seconds(cls, row: Any) -> Any:
        # Where a search keeps them with its trials.
        if isinstance(row, dict) and isinstance(row.get("user_attrs"), dict):
            return {"epoch_seconds": row["user_attrs"].get("epoch_seconds"), **row}
        return row

    def curve(self, epochs: int, epoch_seconds: float) -> Curve:
        """The whole curve; what was not recorded is as the last that was."""
        seconds = self.epoch_seconds or epoch_seconds
        each = seconds if isinstance(seconds, tuple) else (seconds,)
        return Curve(_prolonged(self.values, epochs), _prolonged(each, epochs))


class RecordedCurves:
    """Gives every run the curve of the recorded trial that is most like it.

    The distance is Euclidean: over the dimensions of the space, each from 0 to 1 on its own scale,
    with 1 between different choices. Of trials equally near, the longest recording is taken.
    """

    def __init__(
        self, recordings: Sequence[Recording], space: Space, *, epochs: int, epoch_seconds: float
    ) -> None:
        """Places the recordings in a space.

        Args:
            recordings: At least one, each with a value.
            space: What runs are drawn from; what a recording does not name is as the space fixes
                it, or as by default.
            epochs: Of the full budget.
            epoch_seconds: Of recordings without.
        """
        longest_first = sorted(recordings, key=lambda each: -len(each.values))
        self._dimensions = space.dimensions
        self._is_choice = np.array([bool(each.choices) for each in space.dimensions], bool)
        self._curves = [each.curve(epochs, epoch_seconds) for each in longest_first]
        # (recording, dimension)
        self._places = np.array([self._place(space.complete(r.params)) for r in longest_first])

    def curve(self, hyperparameters: Hyperparameters) -> Curve:
        """The curve of the nearest recording."""
        difference = self._places - self._place(hyperparameters)
        difference[:, self._is_choice] = difference[:, self._is_choice] != 0
        return self._curves[int(np.argmin((difference**2).sum(axis=1)))]

    def _place(self, hyperparameters: Hyperparameters) -> np.ndarray:
        return np.array(
            [_place(each, getattr(hyperparameters, each.name)) for each in self._dimensions], float
        )


def load_recorded_curves(
    path: Path, space: Space, *, epochs: int, epoch_seconds: float
) -> RecordedCurves:
    """Reads trials from a file: JSON with a list of them, or with one of them a line.

    Trials without a value, such as those that are still waiting, are left out.

    Args:
        path: Of the file; an object with `trials` in it, as `status --json` prints it, will do.
        space: What runs are drawn from.
        epochs: Of the full budget.
        epoch_seconds: Of trials without.

    Raises:
        InputError: The file cannot be read, or holds no trials, or one that is no run.
    """
    recordings = [recording for recording in _read(path, space) if recording.values]
    if not recordings:
        raise InputError(
            f"{path}: expected trials with `params` and `values`, found none with a value; "
            "`unet-search status CONFIG --json` prints those of a study"
        )
    return RecordedCurves(recordings, space, epochs=epochs, epoch_seconds=epoch_seconds)


def _read(path: Path, space: Space) -> list[Recording]:
    try:
        rows = _parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: expected a file of trials: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, got: {error}; correct the file") from None
    return [_check(row, f"{path}: trial {index}", space) for index, row in enumerate(rows)]


def _parse(text: str) -> list[Any]:
    try:
        whole = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    trials = whole.get("trials", [whole]) if isinstance(whole, dict) else whole
    return trials if isinstance(trials, list) else [trials]


def _check(row: Any, where: str, space: Space) -> Recording:
    try:
        recording = Recording.model_validate(row)
        space.complete(recording.params)
    except ValidationError as error:
        raise InputError(f"{where}: {explain(error, Recording)}") from None
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return recording


def _place(dimension: Dimension, value: Any) -> float:
    if not dimension.choices:
        return position(dimension, value)
    return dimension.choices.index(value) if value in dimension.choices else _ELSEWHERE


def _prolonged(recorded: tuple[float, ...], epochs: int) -> tuple[float, ...]:
    return (*recorded, *[recorded[-1]] * (epochs - len(recorded)))[:epochs]
