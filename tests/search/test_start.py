"""What a search begins with: values of a table, a preset, or a model of an earlier search."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from small_config import TABLE, build_config

from search.data import load_data
from search.space import build_space
from search.start import check_starts, find_earlier_model, start_values
from trainer.earlier_model import EarlierModel
from trainer.errors import InputError
from trainer.hyperparameters import Hyperparameters

MODEL = {"depth": 2, "tile_size": 16, "learning_rate": 2e-3, "loss": "dice"}
SPACE = TABLE["space"]


def write_model(folder: Path, card: dict[str, Any] | None = None, **values: Any) -> Path:
    """A model folder as far as a card tells of it: nothing of its network is loaded here."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.keras").write_bytes(b"weights")
    kept = {
        "format": 1,
        "sha256": hashlib.sha256(b"weights").hexdigest(),
        "hyperparameters": Hyperparameters(**{**MODEL, **values}).to_mapping(),
        "threshold": 0.5,
        "postprocessing": {"views": 1, "z_median_sections": 1},
        "data": {"voxel_size_nm": [5.0, 5.0, 5.0]},
    }
    (folder / "model.json").write_text(json.dumps(kept | (card or {})))
    return folder


def placed(*tables: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"start[{index}]": table for index, table in enumerate(tables)}


def values_from(folder: Path, *others: Any, space: Any = SPACE, **beside: Any) -> list[Any]:
    tables = placed(*others, {"from": str(folder), **beside})
    built = build_space(space)
    check_starts(built, tables)
    return start_values(built, tables, find_earlier_model(tables))


def refusal(folder: Path, space: Any = SPACE, **beside: Any) -> str:
    with pytest.raises(InputError) as caught:
        values_from(folder, space=space, **beside)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_models_values_come_first(tmp_path: Path) -> None:
    known = {"learning_rate": 1e-3, "loss": "bce"}
    values = values_from(write_model(tmp_path), known)
    assert values == [{"learning_rate": 2e-3, "loss": "dice"}, known]


def test_a_value_beside_it_takes_the_place_of_the_models(tmp_path: Path) -> None:
    assert values_from(write_model(tmp_path), learning_rate=1e-4) == [
        {"learning_rate": 1e-4, "loss": "dice"}
    ]


def test_a_value_that_the_space_does_not_hold_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path, learning_rate=0.5)
    assert refusal(folder).startswith("start[0].from.learning_rate: expected a value within {")
    assert values_from(folder, learning_rate=1e-3)[0]["learning_rate"] == 1e-3


def test_a_value_that_does_not_matter_in_the_models_run_is_not_asked_for(tmp_path: Path) -> None:
    space = SPACE | {"optimizer": ["adam", "sgd"], "momentum": {"low": 0.5, "high": 0.8}}
    values = values_from(write_model(tmp_path, momentum=0.9), space=space)
    assert values == [{"learning_rate": 2e-3, "loss": "dice", "optimizer": "adam"}]


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"depth": 1}, "depth = 1, got 2"),
        ({"filters": 4}, "filters = 4, got 32"),
        ({"activation": "elu", "gate": "attention"}, "activation = 'elu', gate = 'attention', got"),
    ],
)
def test_a_fixed_network_that_is_not_the_models_is_refused(
    tmp_path: Path, changed: dict[str, Any], part: str
) -> None:
    message = refusal(write_model(tmp_path, **changed))
    assert message.startswith("start[0].from: expected the network of the model, ")
    assert part in message
    fitting = {name: value for name, value in changed.items() if name != "depth"}
    depth = changed.get("depth", 2)
    assert values_from(tmp_path, space=SPACE | fitting | {"depth": depth})


def test_a_network_named_beside_the_model_has_to_be_the_models(tmp_path: Path) -> None:
    space = SPACE | {"depth": {"low": 1, "high": 2}}
    message = refusal(write_model(tmp_path), space=space, depth=1)
    assert "depth = 2, got 1" in message


def test_what_the_config_fixes_itself_holds_and_what_it_leaves_unsaid_does_not(
    tmp_path: Path,
) -> None:
    folder = write_model(tmp_path, zoom=0.3, batch_size=4)
    message = refusal(folder)
    assert message.startswith(
        "start[0].from: expected [space] to name batch_size = 4, zoom = 0.3, as the model has it, "
        "and not to leave it at 8, 0.1; "
    )
    assert len(values_from(folder, space=SPACE | {"zoom": 0.3, "batch_size": 16})) == 1


def test_no_model_there_or_another_one_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path / "none")
    assert message.startswith(f"start[0].from: {tmp_path / 'none'}: expected a model folder")
    write_model(tmp_path)
    (tmp_path / "model.keras").write_bytes(b"others")
    assert "expected the network with SHA-256" in refusal(tmp_path)
    (tmp_path / "model.keras").unlink()
    assert "expected the network of the model to go on from, got: No such file" in refusal(tmp_path)


def test_without_the_model_only_what_stands_beside_it_is_known() -> None:
    nowhere = {"from": "nowhere"}
    tables = placed({"loss": "bce"}, {**nowhere, "learning_rate": 1e-3}, nowhere)
    values = start_values(build_space(SPACE), tables, None)
    assert values == [{"loss": "bce"}, {"learning_rate": 1e-3}, {}]


def test_a_model_is_known_by_its_network_and_the_voxels_it_learned_on(tmp_path: Path) -> None:
    model = EarlierModel.read(write_model(tmp_path))
    assert model.voxel_size_nm == (5, 5, 5)
    assert model.fits(Hyperparameters(depth=1, centre_levels=1, tile_size=32, dropout=0.3))
    assert not model.fits(Hyperparameters(depth=2, tile_size=32, activation="elu"))
    without = write_model(tmp_path / "old", card={"data": None})
    assert EarlierModel.read(without).voxel_size_nm is None


def test_a_search_reads_the_model_with_its_data_and_says_so(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    table = {"from": str(folder)}
    data = load_data(build_config(tmp_path, start=(table,)))
    assert data.earlier is not None
    assert data.earlier.folder == folder
    first, second = data.describe()[-2:]
    assert first.startswith(f"weights: begin with those of {folder} (")
    assert second == (
        "weights: learned on voxels of [5.0, 5.0, 5.0] nm, these are [8.0, 8.0, 8.0] nm"
    )
    write_model(folder, depth=1)
    with pytest.raises(InputError, match=r"^start\[0\]\.from: expected the network of the model"):
        load_data(build_config(tmp_path, start=(table,)))
