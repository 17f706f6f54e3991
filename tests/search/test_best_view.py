"""What `best` tells a person, and `run` of its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search import best_view
from search.best_view import describe_best, describe_model
from trainer.errors import InputError

CARD: dict[str, Any] = {
    "threshold": 0.37,
    "validation": {"dice": 0.9, "of": "this model"},
    "postprocessing": {"views": 1, "z_median_sections": 1},
}


def row(**changes: Any) -> dict[str, Any]:
    known = {
        "number": 4,
        "value": 0.75,
        "values": [0.75],
        "params": {"depth": 3, "loss": "bce"},
        "user_attrs": {},
        "model": None,
        "threshold": None,
        "postprocessing": None,
        "validation": None,
        "repeats": None,
        "front": None,
    }
    return {**known, **changes}


def lines_of(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> list[str]:
    monkeypatch.setattr(best_view, "load_card", lambda folder: {**CARD, **changes})
    return describe_model(Path("model"))


def test_what_follows_the_network_is_told_where_there_is_much_or_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert lines_of(monkeypatch) == [
        "the model: Dice 0.9000 at threshold 0.37: this model",
        "what follows the network: whole sections, one view, no median along z, objects of every "
        "size",
    ]
    after = {
        "views": 8,
        "z_median_sections": 5,
        "smallest_object_voxels": 1234,
        "windows": {"size": 256, "overlap": 0.25},
    }
    assert lines_of(monkeypatch, postprocessing=after)[1] == (
        "what follows the network: windows of 256 x 256 that overlap by 25%, the mean over 8 "
        "views, a median over 5 sections along z, no objects below 1,234 voxels"
    )


def test_the_model_is_told_on_each_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    each = {"old": {"dice": 0.95, "iou": 0.9}, "new": {"dice": 0.85, "iou": 0.7}}
    shown = lines_of(monkeypatch, validation={**CARD["validation"], "by_volume": each})
    assert shown[2:] == ["the model's Dice of each volume: old 0.9500, new 0.8500"]


def test_of_a_model_without_a_usable_card_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> Any:
        raise InputError("model.json: expected a card")

    monkeypatch.setattr(best_view, "load_card", refuse)
    assert describe_model(Path("model")) == []


def test_a_row_has_its_model_its_volumes_and_its_values() -> None:
    attributes = {"dice_by_volume": {"old": 0.8, "new": 0.7}}
    first, *others = describe_best([row(model="runs/mito/model", user_attrs=attributes, **CARD)])
    assert first == "trial 4: Dice 0.7500  model: runs/mito/model"
    assert others[0] == "    Dice of each volume: old 0.8000, new 0.7000"
    assert others[1].startswith("    the model: Dice 0.9000")
    assert others[-1] == "    depth = 3, loss = bce"


def test_a_front_that_is_cut_off_is_told() -> None:
    two = [row(number=number, values=[0.75, 10.0], front=7) for number in range(5)]
    assert list(describe_best(two))[-1] == (
        "5 of 7: the Pareto front, with the winner where there is one; `--top 7` shows all"
    )
    whole = [{**each, "front": 5} for each in two]
    assert not any("Pareto" in line for line in describe_best(whole))
    assert list(describe_best([])) == ["no trial has reached its full budget yet"]
