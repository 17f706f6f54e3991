"""The commands about a model, as they are typed: evaluate, explain and predict."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from command_line import Call, refusal

SCORES = {
    **dict.fromkeys(("dice", "iou", "precision", "recall"), 0.9),
    "threshold": 0.5,
    "voxels": 1000,
    "voxel_size_nm": [5.0, 5.0, 5.0],
    **{
        name: {"found": 3, "total": 4, "predicted": 3, "precision": 1.0, "recall": 0.75, "f1": 0.9}
        for name in ("instances_2d", "instances_3d", "instances_2d_iou_075", "instances_3d_iou_075")
    },
    **dict.fromkeys(
        ("mcc", "average_precision", "panoptic_quality_2d", "panoptic_quality_3d"), 0.8
    ),
    "boundary_dice": {"1": 0.7, "2": 0.85},
}


def test_an_evaluation_shows_its_scores_and_on_stderr_what_there_is_to_note(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {**SCORES, "notes": ["the model was trained on voxels of [5] nm"]}
    fake = types.ModuleType("trainer.evaluate")
    fake.evaluate_files = lambda *_, **__: scores  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trainer.evaluate", fake)
    given = ("evaluate", "model", "--raw", "a.tif", "--mask", "b.tif")
    shown = call(*given)
    assert (shown.code, shown.err) == (0, "the model was trained on voxels of [5] nm\n")
    assert "Dice 0.9000" in shown.out
    assert "MCC 0.8000, average precision 0.8000" in shown.out
    assert "boundary Dice 0.7000 at 1, 0.8500 at 2 voxels" in shown.out
    assert "objects in the volume: found 3 of 4 at IoU 0.5, 3 at IoU 0.75" in shown.out
    printed = json.loads(call(*given, "--json").out)
    assert (printed["voxel_size_nm"], printed["notes"]) == ([5.0, 5.0, 5.0], scores["notes"])


def test_an_explanation_shows_the_filters_and_where_it_is_written(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    strongest = [{"filter": 5, "stands_out": 1.25}, {"filter": 0, "stands_out": -0.5}]
    facts = {
        "section": 7,
        "box": [0, 1, 2, 3],
        "mean_probability": 0.5,
        "foreground_share": 0.25,
        "notes": ["other voxels"],
        "levels": [{"level": "centre", "filters": 8, "strongest": strongest}],
    }
    fake = types.ModuleType("trainer.explain")
    fake.explain_files = lambda *_: facts  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trainer.explain", fake)
    place = ("--section", "7", "--box", "0,1,2,3", "--out", "why")
    shown = call("explain", "model", "--raw", "a.tif", *place)
    told = "other voxels\nwritten to why: open why/explain.html\n"
    assert (shown.code, shown.err) == (0, told)
    assert "centre: filters 5 (+1.25), 0 (-0.50) of 8" in shown.out
    assert json.loads(call("explain", "model", "--raw", "a.tif", *place, "--json").out) == facts


def test_a_prediction_needs_a_model(call: Call, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 8, 8), np.uint8))
    message = refusal(call("predict", "nowhere", "a.tif", "b.tif"))
    assert message.startswith("nowhere: expected a model folder with model.json, found none")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "mito.toml"]


@pytest.mark.parametrize("option", ["--threshold", "--smallest-object"])
def test_what_only_objects_depend_on_is_refused_without_them(call: Call, option: str) -> None:
    message = refusal(call("predict", "m", "a.tif", "b.tif", option, "1"))
    assert message.startswith(f"{option}: only objects depend on it")
    assert message.endswith("add --labels")


def test_what_a_prediction_wrote_is_shown(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    written = {
        "output": "out.zarr",
        "labels": "out.zarr/labels/instances",
        "objects": 46,
        "shape": [165, 768, 1024],
        "voxel_size_nm": [5.0, 5.0, 5.0],
        "seconds": 31.4,
        "voxels_per_second": 4_200_000,
        "threshold": 0.45,
    }
    asked: list[Any] = []

    def segment_file(*arguments: Any, on_progress: Any, say: Any) -> dict[str, Any]:
        asked.append(arguments)
        on_progress("predict", 1, 165)
        say("a note")
        return written

    from trainer import segmentation

    monkeypatch.setattr(segmentation, "segment_file", segment_file)
    given = ("predict", "m", "a.tif", "out.zarr", "--split-touching", "--window", "256")
    more = ("--z-median", "1", "--float32", "--threshold", "0.45")
    answer = call(*given, "--blend", "mean", "--voxel-size-nm", "5,5,5", *more)
    assert answer.code == 0
    assert answer.out.splitlines() == [
        "probabilities: out.zarr (165 x 768 x 1024, voxels 5 x 5 x 5 nm; 31 s, "
        "4.20 million voxels a second)",
        "labels: out.zarr/labels/instances (46 objects, where the probability reaches 0.45)",
    ]
    assert answer.err == "a note\n"
    options = asked[0][3]
    assert (options.labels, options.voxel_size_nm) == ("watershed", (5.0, 5.0, 5.0))
    assert (options.prediction.z_median, options.prediction.float32) == (1, True)
    assert options.threshold == 0.45
    windows = options.prediction.windows
    assert (windows.size, windows.overlap, windows.blend) == (256, 0.5, "mean")
    assert json.loads(call(*given, "--json").out) == written
