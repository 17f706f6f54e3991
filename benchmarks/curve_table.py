"""A recorded table of whole learning curves, and the row that stands for a proposal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from search.curves import Curve, position
from search.space import Dimension, Space, build_space
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters

_ORDERED_WORDS = ("kernel",)
"""Dimensions of words whose order in the space is one: of the width that they see."""
_DRAWN = "sobol"
"""What the names of rows begin with that nobody has thought of."""

_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Row(BaseModel):
    """One configuration, trained to its full budget."""

    model_config = ConfigDict(frozen=True)

    name: str
    params: dict[str, Any]
    dice: tuple[FiniteFloat, ...] = Field(min_length=1)
    """On the validation sections, after each epoch."""
    heldout_dice: tuple[FiniteFloat, ...] = Field(min_length=1)
    """On sections that take no part in the search."""
    epoch_seconds: tuple[_Seconds, ...] = Field(min_length=1)


class About(BaseModel):
    """What all rows have in common, as far as a replay needs it."""

    model_config = ConfigDict(frozen=True)

    epochs: int = Field(ge=1)
    tiles_per_epoch: int = Field(ge=1)
    space: dict[str, Any]


class CurveTable:
    """Rows in the space that strategies propose from.

    The distance of a proposal from a row is the mean over the dimensions of the space: of a range
    the difference of positions, from 0 to 1 on the range's own scale; of ordered choices (numbers,
    and kernels by their width) the difference of ranks, from 0 to 1; of others 1 where they differ.

    Attributes:
        rows: In the order of the file.
        space: Of `[space]`.
        epochs: Of every row.
        tiles_per_epoch: In tiles of 256 x 256.
    """

    def __init__(self, about: About, rows: list[Row]) -> None:
        """Places the rows in their space.

        Raises:
            InputError: A row that no network of the space is, or with another number of epochs.
        """
        self.rows = tuple(rows)
        self.space: Space = build_space(about.space)
        self.epochs, self.tiles_per_epoch = about.epochs, about.tiles_per_epoch
        for row in rows:
            self._check(row)
        # (row, dimension)
        self._places = np.array([self._place(self.space.complete(row.params)) for row in rows])
        self._is_word = np.array([_is_word(each) for each in self.space.dimensions], bool)

    @property
    def most_trials(self) -> int:
        """Every row can be visited once."""
        return len(self.rows)

    def visits(self) -> Visits:
        """What one search has seen of the table; nothing yet."""
        return Visits(self)

    def one_at_a_time(self) -> list[Row]:
        """Rows that a person thought of: one value changed at a time, then the best combined."""
        return [row for row in self.rows if not row.name.lower().startswith(_DRAWN)]

    def distances(self, proposal: Hyperparameters) -> np.ndarray:
        """How far each row is from a proposal, from 0 to 1."""
        difference = np.abs(self._places - self._place(proposal))
        difference[:, self._is_word] = difference[:, self._is_word] != 0
        return np.asarray(difference.mean(axis=1))

    def _place(self, run: Hyperparameters) -> np.ndarray:
        values = [_place(each, getattr(run, each.name)) for each in self.space.dimensions]
        return np.array(values, float)

    def _check(self, row: Row) -> None:
        try:
            self.space.check(row.params, "params")
        except InputError as error:
            raise InputError(f"{row.name}: {error}") from None
        for name in ("dice", "heldout_dice", "epoch_seconds"):
            if len(getattr(row, name)) != self.epochs:
                raise InputError(
                    f"{row.name}.{name}: expected {self.epochs} epochs, "
                    f"got {len(getattr(row, name))}; record the row anew"
                )


class Visits:
    """What one search has seen of a table: each proposal visits the nearest row not yet visited.

    The same proposal, as of a trial that goes on, is the same row.
    """

    def __init__(self, table: CurveTable) -> None:
        """Has visited nothing."""
        self._table = table
        self._row_of: dict[Hyperparameters, int] = {}

    def visit(self, proposal: Hyperparameters) -> int:
        """The index of the row that stands for a proposal; the first of those equally near.

        Raises:
            RuntimeError: Every row has been visited.
        """
        if proposal not in self._row_of:
            if len(self._row_of) == len(self._table.rows):
                raise RuntimeError("every row of the table has been visited")
            distances = self._table.distances(proposal)
            distances[list(self._row_of.values())] = np.inf
            self._row_of[proposal] = int(np.argmin(distances))
        return self._row_of[proposal]

    def curve(self, hyperparameters: Hyperparameters) -> Curve:
        """The learning curve of the row that stands for a run."""
        row = self._table.rows[self.visit(hyperparameters)]
        return Curve(row.dice, row.epoch_seconds)


def load_curve_table(path: Path) -> CurveTable:
    """Reads a table.

    Raises:
        InputError: The file cannot be read, or is no table.
    """
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        about = About.model_validate(whole["about"])
        rows = [Row.model_validate(row) for row in whole["rows"]]
        if not rows:
            raise InputError("it has no rows")
        return CurveTable(about, rows)
    except OSError as error:
        problem = error.strerror or "it cannot be read"
    except ValidationError as error:
        first = error.errors()[0]
        problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except KeyError as error:
        problem = f"it has no {error}"
    except (ValueError, TypeError) as error:
        problem = str(error)
    raise InputError(f"{path}: expected a table of learning curves: {problem}")


def _is_word(dimension: Dimension) -> bool:
    if not dimension.choices or dimension.name in _ORDERED_WORDS:
        return False
    return not all(isinstance(choice, int | float) for choice in dimension.choices)


def _place(dimension: Dimension, value: Any) -> float:
    if not dimension.choices:
        return position(dimension, value)
    choices = list(dimension.choices)
    if all(isinstance(choice, int | float) for choice in choices):
        choices.sort()
    if value not in choices:
        # It does not matter in this run, and is none of the choices.
        return -1.0
    return choices.index(value) / max(len(choices) - 1, 1)
