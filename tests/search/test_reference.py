from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from search.reference import render_reference
from trainer.hyperparameters import Hyperparameters

PAGE = Path(__file__).parents[2] / "docs" / "dimensions.md"


def test_the_page_is_the_one_that_the_code_writes() -> None:
    assert PAGE.read_text() == render_reference(), "run `make reference`"


def test_every_dimension_has_a_row_of_its_own() -> None:
    rows = [line.split("|")[1].strip() for line in render_reference().splitlines() if "|" in line]
    assert rows[2:] == [f"`{each.name}`" for each in fields(Hyperparameters)]
